"""What the mesh adds to a call."""
