"""Fails where the relay, a cache hit, a search or a call takes 15 % more than before, and names which."""
