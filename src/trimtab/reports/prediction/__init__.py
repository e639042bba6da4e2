"""Predictions before steering, and how well they are calibrated, on the terminal, as JSON and as a page."""
