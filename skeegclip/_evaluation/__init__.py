"""What every evaluation stands on: the task, its cells, cuts of epochs, and statistics."""
