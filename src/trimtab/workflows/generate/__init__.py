"""Text with and without a steering, and what the steering saw in each token."""
