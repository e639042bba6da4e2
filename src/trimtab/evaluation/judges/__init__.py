"""A chat model as judge of answers: what it is asked, at what cost, what it said, and how far it agrees with people."""
