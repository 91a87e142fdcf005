"""Nearest candidates of an embedding, exactly or nearly."""
