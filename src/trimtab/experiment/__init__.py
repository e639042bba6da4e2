"""How work is run: a behavior in parts, the instrument that puts it to the model, steps, progress."""
