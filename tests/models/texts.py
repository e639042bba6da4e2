"""Texts with much in common, and with little."""

CONTEXT = "The sky is blue. Is the grass red? No, the grass is green. She said hello to the world in 1999.\n\n"
PROMPTS = [
    "The capital of France",
    "A trim tab is the small flap of a ship",
    "The world said",
    "Is the sky blue?",
    "She",
]
