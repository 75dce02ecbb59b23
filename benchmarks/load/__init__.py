"""What the stack does when more is asked of it than it can answer."""
