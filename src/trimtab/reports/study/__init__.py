"""LOOK at many behaviors together: the record of a study, its files, its page."""
