"""When, where, and from how many repetitions a decoder reads what it reads."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
