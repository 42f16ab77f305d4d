"""Auto-graded PyTorch exercises on top of nbgrader."""

__version__ = "0.1.0"
