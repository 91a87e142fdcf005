"""NOD: EEG and MEG of people who saw pictures of ImageNet, most of them once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._event_tables import read_table
from ._published import Found, Published, load_published
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch


def _detailed(found: Found) -> str:
    return f"derivatives/detailed_events/{found.subject}_events.csv"


def _events(folder: Path, found: Found, pictures: Any) -> pd.DataFrame:
    """Read when pictures were shown, and, in another file and the same order, which."""
    import pandas as pd

    events = read_table(folder / f"{found.stem}_events.tsv", "events")
    onsets = events["onset"][events["trial_type"] == "stim_on"].astype(float)
    trials = read_table(folder / _detailed(found), "events")
    run = pd.to_numeric(trials["run"]) == int(found.labels["run"])
    trials = trials[run & (trials["session"].str.removeprefix("ses-") == found.labels["ses"])]
    if len(onsets) != len(trials):
        raise ValueError(
            f"{found.key}: its events show {len(onsets)} pictures, but {_detailed(found)} lists {len(trials)} of this run."
        )
    name = trials["image_id"].str.removesuffix(".JPEG").to_numpy()
    concept = trials["class_id"] if "class_id" in trials else trials["image_id"].str.partition("_")[0]
    return pd.DataFrame({"onset": onsets.to_numpy(), "stimulus": name, "concept": concept.to_numpy()})


NOD_EEG, NOD_MEG = (
    Published(
        title=f"NOD-{kind.upper()}",
        datatype=kind,
        recordings=rf"sub-\d+/ses-ImageNet\d+/{kind}/sub-\d+_ses-ImageNet\d+_task-ImageNet_run-\d+_{kind}\.{suffix}",
        example=f"sub-01/ses-ImageNet01/{kind}/sub-01_ses-ImageNet01_task-ImageNet_run-01_{kind}.{suffix}",
        events=_events,
        columns=("concept",),
        beside=lambda found: (_detailed(found),),
        picture="{stimulus}.JPEG",
        places=("stimuli/ImageNet",),
    )
    for kind, suffix in (("eeg", "set"), ("meg", "fif"))
)


@shared_texts
def load_nod(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    channels: Sequence[str] | None = None,
    bads: str = "interpolate",
    band: tuple[float | None, float | None] | None = (0.1, 100.0),
    sfreq: float | None = 250.0,
    tmin: float = -0.2,
    tmax: float = 1.0,
    baseline: tuple[float | None, float | None] | None = (None, 0.0),
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Write the EEG or MEG of the Natural Object Dataset [1]_ into an :class:`~skeegclip.EpochsStore`, and open it.

    19 people with 56,000 trials of EEG (OpenNeuro ds005811), 30 with 53,200 of MEG (ds005810); both saw the pictures of
    NOD-fMRI, so that a picture has one id in all of them.

    Parameters
    ----------
    folder : path-like
        One of the two data sets in BIDS, with ``derivatives/detailed_events``, which tells the pictures.
    %(out)s
    %(subjects)s
    images : path-like | None
        Folder of the pictures (``n01440764_10074.JPEG``), for ``data.images``. None is ``stimuli/ImageNet`` in `folder`.
    %(cut)s

    Returns
    -------
    %(bunch)s

        Column besides: concept (the class of ImageNet, "n01440764"). The data set names no test pictures.

    Raises
    ------
    %(raises)s

    See Also
    --------
    stream_eegdash : The same, downloaded as it is converted.

    Notes
    -----
    Read in the data sets: names of all files, all events (125 pictures in each of 448 recordings of EEG, 200 in each of
    266 of MEG), channels of EEG (64, of which HEO and VEO are of the eyes, at 500 Hz) and of MEG (CTF at 1200 Hz, as
    fif). The columns session, run, image_id and class_id of the detailed events are those that the publishers' code
    reads; the files themselves could not be seen.

    References
    ----------
    .. [1] Zhang et al., "A large-scale MEG and EEG dataset for object recognition in naturalistic scenes", Scientific
       Data 12, 2025.

    Examples
    --------
    >>> from skeegclip.datasets import load_nod
    >>> data = load_nod("ds005811", "nod-eeg-store", subjects=1)  # doctest: +SKIP
    >>> data.X.shape  # doctest: +SKIP
    (4000, 62, 301)
    """
    return load_published(
        (NOD_EEG, NOD_MEG),
        out,
        folder=Path(folder),
        subjects=subjects,
        images=images,
        channels=channels,
        bads=bads,
        band=band,
        sfreq=sfreq,
        tmin=tmin,
        tmax=tmax,
        baseline=baseline,
        dtype=dtype,
        verbose=verbose,
    )
