"""What the shell offers."""
