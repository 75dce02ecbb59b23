"""What the library does, whatever carries the calls and whatever keeps the rows."""
