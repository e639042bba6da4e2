"""Finished work on disk: files that are whole or not there, steps, answers and checkpoints to go on from."""
