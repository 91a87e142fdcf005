"""Embeddings of stimuli: tables of vectors and of pictures, keyed by stimulus id."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
