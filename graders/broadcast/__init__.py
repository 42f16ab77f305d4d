"""The graders of the assignment broadcast."""
