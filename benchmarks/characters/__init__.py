"""How well and how fast the characters of novels are found."""
