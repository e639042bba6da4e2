"""Finished work on disk: files that are whole or absent, steps, answers and checkpoints to resume from."""
