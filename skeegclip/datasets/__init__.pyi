from .alljoined import load_alljoined as load_alljoined
from .bids import load_bids as load_bids
from .dimensions import fetch_dimensions as fetch_dimensions
from .eeg_imagenet import load_eeg_imagenet as load_eeg_imagenet
from .eegdash import stream_eegdash as stream_eegdash
from .fetch import fetch_things_eeg2 as fetch_things_eeg2
from .fetch import fetch_things_meg as fetch_things_meg
from .moabb import as_moabb_dataset as as_moabb_dataset
from .nod import load_nod as load_nod
from .raw_things_eeg2 import preprocess_things_eeg2 as preprocess_things_eeg2
from .recordings import load_recordings as load_recordings
from .shipped import load_faces_houses as load_faces_houses
from .shipped import load_things_sub08 as load_things_sub08
from .simulate import make_things_like as make_things_like
from .things_eeg1 import load_things_eeg1 as load_things_eeg1
from .things_eeg2 import load_things_eeg2 as load_things_eeg2
from .things_meg import load_things_meg as load_things_meg

__all__ = [
    "as_moabb_dataset",
    "fetch_dimensions",
    "fetch_things_eeg2",
    "fetch_things_meg",
    "load_alljoined",
    "load_bids",
    "load_eeg_imagenet",
    "load_faces_houses",
    "load_nod",
    "load_recordings",
    "load_things_eeg1",
    "load_things_eeg2",
    "load_things_meg",
    "load_things_sub08",
    "make_things_like",
    "preprocess_things_eeg2",
    "stream_eegdash",
]
