"""The graders of the assignment create."""
