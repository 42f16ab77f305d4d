"""Graders of the assignment operate, and the inputs that they share."""
