"""Adapters of the cache's ports."""
