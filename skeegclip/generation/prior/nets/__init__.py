"""The networks of this package: pure torch, one a file. Private."""
