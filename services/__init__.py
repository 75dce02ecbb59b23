"""The rooms: each folder is a process of its own, and no room imports another."""
