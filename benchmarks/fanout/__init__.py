"""What one more reader of the same reply costs."""
