"""Lets the tests beside it import what they share, also in processes that they start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
