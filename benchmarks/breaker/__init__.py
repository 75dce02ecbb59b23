"""What a circuit breaker costs each call."""
