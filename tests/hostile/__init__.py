"""The system under hostile input: what gets in, and what comes out."""
