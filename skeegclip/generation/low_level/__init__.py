"""The low-level picture: layout and colours."""

from .decoder import LowLevelDecoder as LowLevelDecoder
