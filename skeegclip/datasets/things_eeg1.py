"""THINGS-EEG1: 50 people who saw all 22,248 pictures of THINGS once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._event_tables import read_table
from ._published import Found, Published, load_published
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch


def _events(folder: Path, found: Found, pictures: Any) -> pd.DataFrame:
    """Read what was shown: a path of the computer that showed it, at a time in milliseconds."""
    import pandas as pd

    table = read_table(folder / f"{found.stem}_events.tsv", "events")
    # Of 50 ms, and not seconds, as BIDS has it.
    unit = 1e-3 if np.median(table["duration"].astype(float)) > 1 else 1.0
    name = table["stim"].str.replace("\\", "/").str.rpartition("/")[2].str.rpartition(".")[0]
    is_test = table["isteststim"] == "1" if "isteststim" in table else pd.Series(False, index=table.index)
    return pd.DataFrame(
        {
            "onset": table["onset"].astype(float) * unit,
            "stimulus": name,
            "concept": name.str.rpartition("_")[0],
            "split": np.where(is_test, "test", "train"),
            "target": table["istarget"],
        }
    )


THINGS_EEG1 = Published(
    title="THINGS-EEG1",
    datatype="eeg",
    recordings=r"sub-\d+/eeg/sub-\d+_task-rsvp_eeg\.vhdr",
    example="sub-01/eeg/sub-01_task-rsvp_eeg.vhdr",
    events=_events,
    columns=("concept", "split", "target"),
    picture="{concept}/{stimulus}.jpg",
    places=("object_images", "images", "Images"),
)


@shared_texts
def load_things_eeg1(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    channels: Sequence[str] | None = None,
    bads: str = "interpolate",
    band: tuple[float | None, float | None] | None = (0.1, 100.0),
    sfreq: float | None = 250.0,
    tmin: float = -0.1,
    tmax: float = 0.9,
    baseline: tuple[float | None, float | None] | None = (None, 0.0),
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Write THINGS-EEG1 [1]_ (OpenNeuro ds003825) into an :class:`~skeegclip.EpochsStore`, single trials, and open it.

    A picture every 100 ms: each of 22,248 once, then, for most people, 200 others 12 times each. A person is written whole
    or not at all, and one who is in the store already is not read again.

    Parameters
    ----------
    folder : path-like
        The data set in BIDS, in which ``sub-01/eeg/sub-01_task-rsvp_eeg.vhdr`` lies.
    %(out)s
    %(subjects)s
    images : path-like | None
        Folder of THINGS' pictures (``aardvark/aardvark_01b.jpg``), for ``data.images``. None looks for a folder
        ``object_images`` or ``images`` in `folder`.
    %(cut)s

    Returns
    -------
    %(bunch)s

        Columns besides: concept, split ("test" for the 200 shown 12 times, whose concepts others are trained on),
        target ("1" where the fixation dot changed its colour).

    Raises
    ------
    %(raises)s

    See Also
    --------
    stream_eegdash : The same, downloaded as it is converted.

    Notes
    -----
    Read in version 1.1.0 of the data set: the events of all 50 people. 48 have the 63 channels of the description at
    1000 Hz; sub-49 and sub-50 were recorded with a set-up of 128 channels. sub-01 has no test pictures and sub-06 stopped
    after 12,360 trials. Onsets are in milliseconds, against BIDS: they agree with the clock of the computer that
    showed the pictures. Whether they count from 0 or from 1 could not be seen, nor could the recordings themselves; of
    sub-49 and sub-50 the channels of the other people are taken, by their names.

    References
    ----------
    .. [1] Grootswagers et al., "Human EEG recordings for 1,854 concepts presented in rapid serial visual presentation
       streams", Scientific Data 9, 2022.

    Examples
    --------
    >>> from skeegclip.datasets import load_things_eeg1
    >>> data = load_things_eeg1("ds003825", "things-eeg1-store", subjects=[2, 3])  # doctest: +SKIP
    >>> data.X.select(split="train").shape  # doctest: +SKIP
    (44496, 63, 251)
    """
    return load_published(
        (THINGS_EEG1,),
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
