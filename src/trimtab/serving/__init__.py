"""Answers requests over HTTP as OpenAI's API does: one process speaks the protocol, another runs the model."""
