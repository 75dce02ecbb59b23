"""What the embedded vector store does with a shelf of many novels."""
