"""Lets the tests beside it use its stand-ins, and let saves fail at every step."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "_utils" / "folders")]
