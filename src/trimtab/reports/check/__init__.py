"""The report of a check: its files, its page, its gist on the terminal."""
