"""Serving steered models to many clients at once."""
