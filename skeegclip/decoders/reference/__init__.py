"""The networks that were published with the paper: their checkpoints, read and recognised. Private."""

from .load import load_reference_checkpoint as load_reference_checkpoint
