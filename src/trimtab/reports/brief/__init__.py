"""A check on two pages, for those who decide whether it is piloted; in English or Japanese."""
