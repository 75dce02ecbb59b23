"""Whole conversations at rising load, side by side with the stack that this one replaces."""
