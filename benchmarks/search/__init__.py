"""Our search against Chroma asked directly."""
