"""The words of the brief, a file for each language, with the same keys and the same places to fill."""
