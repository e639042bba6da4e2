"""What a search of strengths, sites and gates looks like: terminal, page, plots to choose from."""
