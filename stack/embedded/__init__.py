"""Real servers that come as Python wheels."""
