"""The results of a fit: trained gates, candidates and verdicts, as a page and on the terminal."""
