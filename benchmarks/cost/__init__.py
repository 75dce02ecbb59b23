"""What a reply, a waiting reader and a search cost each process: the figures behind docs/scale.md."""
