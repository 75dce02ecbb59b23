"""How a reply is written: the prompt, the steps, the failures."""
