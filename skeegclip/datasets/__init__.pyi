from .simulate import make_things_like as make_things_like
from .things_eeg2 import load_things_eeg2 as load_things_eeg2

__all__ = ["load_things_eeg2", "make_things_like"]
