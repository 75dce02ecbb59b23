"""What a stack costs while nobody uses it: processor, wake-ups and memory, by process."""
