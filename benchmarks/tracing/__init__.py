"""What recording spans costs."""
