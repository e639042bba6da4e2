"""LOOK: how results are shown on the terminal and as a page, one folder a verb. Reads results only."""
