"""What the matrices are after any number of updates, and what they do to one input."""
