"""The miniature of THINGS-EEG2 that the tests of data sets have."""

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parents[1] / "datasets" / "conftest.py"
_spec = importlib.util.spec_from_file_location("miniature_of_things_eeg2", _FILE)
_miniature = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_miniature)

simulated, things_eeg2 = _miniature.simulated, _miniature.things_eeg2
