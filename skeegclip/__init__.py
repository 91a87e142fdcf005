"""Decode what a person sees from EEG or MEG, the scikit-learn way."""

import lazy_loader as _lazy

from ._version import __version__ as __version__

# The stub beside this file lists what is public; nothing heavy is imported until it is used.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
