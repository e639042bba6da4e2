"""From evidence to a decision, and how often decisions are wrong."""
