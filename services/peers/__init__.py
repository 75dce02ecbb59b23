"""Rooms as their peers see them: clients that several rooms share. They know the contract, and no room."""
