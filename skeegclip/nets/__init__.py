"""Encoders of EEG and MEG epochs in pure torch, one published network a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
