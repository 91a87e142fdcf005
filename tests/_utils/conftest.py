"""Lets tests import what those of saved folders share, also in processes that they start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "folders"))
