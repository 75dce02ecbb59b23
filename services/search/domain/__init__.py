"""What the search room knows about novels: chapters, passages, characters. Pure Python, no store, no transport."""
