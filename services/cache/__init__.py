"""The cache: values by key with a time to live and leases, on Redis or Valkey."""
