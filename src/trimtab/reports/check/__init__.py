"""The report of a check: its files, its page, its summary on the terminal."""
