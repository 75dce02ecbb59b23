"""The search room: novels cut into passages and kept in ChromaDB, found again by meaning; and their characters."""
