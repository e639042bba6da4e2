"""What other tools read and write, each a thin file on the core."""
