"""What the subcommands of ``gaji`` do; ``stack.cli`` has their options."""
