"""The mesh runtime that every process shares: servers, channels, deadlines, identity, errors, telemetry.

It knows no room. A room composes it in its ``__main__``: settings, channels to its peers, one server, one wait.
"""
