"""Which of several devices answers."""
