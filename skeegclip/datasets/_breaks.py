"""Where a recording was interrupted, or marked as bad."""

from __future__ import annotations

from typing import Any

import numpy as np

# What files write where the recording was stopped and went on (BrainVision), or was cut (EEGLAB).
_BREAKS = ("new segment/", "boundary")
_UNUSABLE = ("bad", "edge")


def from_start(raw: Any) -> Any:
    """Return a recording's annotations with onsets in seconds from its first sample."""
    import mne

    own = raw.annotations
    return mne.Annotations(own.onset - raw.first_time, own.duration, own.description)


def with_breaks(raw: Any, read: Any) -> Any:
    """Annotate breaks as MNE does, as "EDGE boundary", so that filters stop there and epochs across are left out.

    Parameters
    ----------
    raw : Raw
        The recording; changed and returned.
    read : Raw
        The same as its file says it, where a table has taken the place of the annotations there.
    """
    import mne

    both = from_start(raw)
    if read is not raw:
        both += from_start(read)
    text = np.array([name.lower() for name in both.description], dtype=str)
    is_break = np.array([name.startswith(_BREAKS) for name in text], dtype=bool)
    unusable = np.array([name.startswith(_UNUSABLE) for name in text], dtype=bool)
    # There is no break before the first sample, and how long one lasted says nothing of the samples after it.
    is_break &= both.onset > 0.5 / raw.info["sfreq"]
    keep = is_break | unusable
    return raw.set_annotations(
        mne.Annotations(
            both.onset[keep],
            np.where(is_break, 0.0, both.duration)[keep],
            np.where(is_break, "EDGE boundary", both.description)[keep],
        ),
        verbose="ERROR",
    )


def lie_whole(raw: Any, samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return which epochs lie in the recording and touch nothing that is annotated as bad or as an edge.

    Parameters
    ----------
    raw : Raw
        The recording.
    samples : ndarray of int
        Onsets, from the start of the recording.
    first, last : int
        Ends of the epochs, from their onsets, both included.
    """
    starts, stops = samples + first, samples + last
    whole = (starts >= 0) & (stops < raw.n_times)
    marks = from_start(raw)
    for onset, duration, name in zip(marks.onset, marks.duration, marks.description, strict=True):
        if str(name).lower().startswith(_UNUSABLE):
            begin, end = onset * raw.info["sfreq"], (onset + duration) * raw.info["sfreq"]
            # Where nothing lasts, a break lies before the sample that it is marked at.
            whole &= (begin > stops + 1e-6) | (end <= starts + 1e-6)
    return whole
