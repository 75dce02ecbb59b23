"""All that a stack has, in one file, and back. See docs/decisions/0035-backup.md."""
