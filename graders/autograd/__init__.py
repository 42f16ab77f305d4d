"""Hidden graders of the assignment autograd."""
