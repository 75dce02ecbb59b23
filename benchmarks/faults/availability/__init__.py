"""How many requests are answered while one thing at a time is broken: real processes, an open-loop load, one table."""
