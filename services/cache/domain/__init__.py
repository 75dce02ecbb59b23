"""What is cached, for how long, and who may compute it."""
