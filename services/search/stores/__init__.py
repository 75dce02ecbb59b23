"""Where novels are kept."""
