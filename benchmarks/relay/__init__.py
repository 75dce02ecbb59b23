"""What it costs to relay a gRPC token stream to browsers as server-sent events, side by side with peers."""
