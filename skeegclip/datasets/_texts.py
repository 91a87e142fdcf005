"""Parameters that the loaders of published data sets share, described once."""

from __future__ import annotations

from .._utils.docs import with_texts

_TEXTS = {
    "out": """
out : path-like
    Folder of the store; made where it is missing, gone on with where it was made with the same settings.
""",
    "subjects": """
subjects : int | str | sequence | None
    Whom to take, as in ``1`` or ``"sub-01"``. None takes all that are there.
""",
    "cut": """
channels : sequence of str | None
    Channels to keep. None keeps all that hold data of the brain; where a later recording has more than the first, those.
bads : "interpolate" | "keep"
    What becomes of channels that ``channels.tsv`` calls bad, as in :func:`load_bids`.
band : tuple of (float | None) | None
    Lower and upper edge of the pass band in Hz, of MNE's zero-phase FIR filter on the continuous recording.
sfreq : float | None
    Sampling rate of the store in Hz. None keeps the recording's.
tmin, tmax : float
    Ends of an epoch in seconds from the picture's onset, both included.
baseline : tuple of (float | None) | None
    Times in seconds whose mean is subtracted, both included; None at an end is that end of the epoch.
dtype : "float32" | "float16"
    Type on disk.
verbose : int
    1 shows a progress bar.
""",
    "bunch": """
Bunch
    ``X`` : EpochsView, shape (n_epochs, n_chans, n_times)
        Single trials in the order of the recordings, none of them read yet; microvolts (MEG: fT).
        ``X.rows`` has the columns stimulus, subject, session, run, task, onset (seconds from the start of the
        recording), bads, repetition, and those named below.
    ``y``, ``subject`` : ndarray of str, shape (n_epochs,)
        Stimulus id and subject; ``concept`` and ``split`` where the data set has them.
    ``repetition`` : ndarray of int, shape (n_epochs,)
        How often the subject had seen the picture before, counted from 0.
    ``times`` : ndarray, shape (n_times,)
        Seconds from the picture's onset.
    ``info`` : mne.Info
        Channels.
    ``manifest`` : DataFrame
        The pictures: id, path ("" where it is not known), and concept and split where the data set has them.
    ``images`` : ImageTable | None
        The pictures that are there, by id.
""",
    "raises": """
FileNotFoundError
    If a file is not there.
ValueError
    If a file is not what its data set says of it, recordings do not fit each other, the store was made otherwise, or a
    parameter is not usable.
""",
}

shared_texts = with_texts(_TEXTS)
