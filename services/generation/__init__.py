"""Generation: prompts, model providers, and the replies that they write token by token."""
