"""What a fit came to: trained gates, candidates and verdicts, as a page and on the terminal."""
