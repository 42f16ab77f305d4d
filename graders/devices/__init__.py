"""Graders of the assignment devices."""
