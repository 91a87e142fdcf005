from .fetch import fetch_things_eeg2 as fetch_things_eeg2
from .fetch import fetch_things_meg as fetch_things_meg
from .raw_things_eeg2 import preprocess_things_eeg2 as preprocess_things_eeg2
from .shipped import load_faces_houses as load_faces_houses
from .shipped import load_things_sub08 as load_things_sub08
from .simulate import make_things_like as make_things_like
from .things_eeg2 import load_things_eeg2 as load_things_eeg2
from .things_meg import load_things_meg as load_things_meg

__all__ = [
    "fetch_things_eeg2",
    "fetch_things_meg",
    "load_faces_houses",
    "load_things_eeg2",
    "load_things_meg",
    "load_things_sub08",
    "make_things_like",
    "preprocess_things_eeg2",
]
