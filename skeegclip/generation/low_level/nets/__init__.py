"""Networks of the low-level decoder."""
