"""A check on one page, for those who decide whether it is piloted; in English or Japanese."""
