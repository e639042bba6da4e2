"""Clients of other servers: chat models that speak OpenAI's protocol, and who is told of events."""
