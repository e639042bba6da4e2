"""A judge's findings on the terminal, its agreement with people always beside them."""
