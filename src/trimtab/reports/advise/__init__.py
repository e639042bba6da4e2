"""What was tried where one vector does not hold: terminal and page."""
