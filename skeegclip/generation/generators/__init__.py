"""Generators: from embeddings to pictures. Private: what is public is exported by ``skeegclip.generation``."""
