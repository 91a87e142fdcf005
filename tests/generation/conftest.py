"""Lets the tests beside it let saves fail at every step, also in processes that they start."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "_utils" / "folders"))
