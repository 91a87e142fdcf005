"""Captions from epochs."""

from .captioner import EEGCaptioner as EEGCaptioner
