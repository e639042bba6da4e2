"""Engines behind a server: each runs many requests at once, as `trimtab.interventions.Engine` describes."""
