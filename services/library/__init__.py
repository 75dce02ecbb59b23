"""Library: users, novels, scenarios, conversations and their messages, in PostgreSQL."""
