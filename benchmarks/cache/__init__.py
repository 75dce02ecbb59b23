"""What a value costs by where it comes from: near, the cache service, the store itself."""
