"""How work is run: a behavior in parts, the instrument that measures it on the model, steps, progress."""
