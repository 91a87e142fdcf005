"""How much of a test set training has seen."""
