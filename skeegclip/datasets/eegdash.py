"""Data sets of EEGDash, downloaded recording by recording as they are converted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._event_tables import read_table
from ._listings import NEMAR, OPENNEURO, nemar_files, s3_files
from ._published import Found, Published, load_published
from ._texts import shared_texts
from .alljoined import ALLJOINED_1, ALLJOINED_MILLION
from .nod import NOD_EEG, NOD_MEG
from .things_eeg1 import THINGS_EEG1

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

    from ._download import Remote


def _events(folder: Path, found: Found, pictures: Any) -> pd.DataFrame:
    """Read the numbers of pictures, counted from 1 in each half, and their names from the list of pictures."""
    import pandas as pd

    table = read_table(folder / f"{found.stem}_events.tsv", "events")
    table = table[table["trial_type"] == "image"]
    split = found.labels["task"]
    number = table["tot_img_number"].astype(float).astype(int).to_numpy() - 1
    shown = pd.DataFrame({"onset": table["onset"].astype(float).to_numpy(), "split": split})
    concept = table["category_name"].str.partition("_")[2].to_numpy()
    if pictures is None:
        return shown.assign(stimulus=[f"{split}_{n + 1:05d}" for n in number], concept=concept)
    named = pictures[pictures["split"] == split].iloc[number]
    if (odd := named["concept"].to_numpy() != concept).any():
        raise ValueError(
            f"images: {found.key} shows a picture of {concept[odd][0]!r}, which the list of pictures calls"
            f" {named['concept'].to_numpy()[odd][0]!r}. Is it that of THINGS-EEG2?"
        )
    return shown.assign(stimulus=named["id"].to_numpy(), concept=concept)


THINGS_EEG2 = Published(
    title="THINGS-EEG2",
    datatype="eeg",
    recordings=r"sub-\d+/ses-\d+/eeg/sub-\d+_ses-\d+_task-(train_run-\d+|test)_eeg\.bdf",
    example="sub-01/ses-01/eeg/sub-01_ses-01_task-train_run-01_eeg.bdf",
    events=_events,
    columns=("concept", "split"),
    is_things_eeg2=True,
)
_KNOWN = {
    "nm000133": ALLJOINED_1,
    "nm000134": ALLJOINED_MILLION,
    "nm000232": THINGS_EEG2,
    "ds003825": THINGS_EEG1,
    "ds005810": NOD_MEG,
    "ds005811": NOD_EEG,
}
_BESIDE = {"ds005810": ("derivatives/detailed_events/",), "ds005811": ("derivatives/detailed_events/",)}


@shared_texts
def stream_eegdash(
    dataset: str,
    out: str | os.PathLike,
    *,
    folder: str | os.PathLike | None = None,
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
    nemar: str = NEMAR,
    openneuro: str = OPENNEURO,
) -> Bunch:
    """Download a data set of EEGDash [1]_ recording by recording into an :class:`~skeegclip.EpochsStore`, and open it.

    A recording is downloaded, compared with the size and the hash that its publisher tells, cut into epochs, written
    whole or not at all, and its files are removed before the next one comes, so that neither memory nor disk ever
    holds more than one. Killed or stopped at any moment, the next call goes on with the recording it was at, and its
    download where that stopped. The store's manifest tells of each recording which files it was made of (see
    :attr:`~skeegclip.EpochsStore.origins`). The package ``eegdash`` is not needed.

    Parameters
    ----------
    dataset : str
        One of "nm000232" (THINGS-EEG2, raw), "nm000134" (Alljoined-1.6M), "nm000133" (Alljoined-1), "ds003825"
        (THINGS-EEG1), "ds005811" (NOD-EEG), "ds005810" (NOD-MEG).
    %(out)s
    folder : path-like | None
        Where to keep what is downloaded, in the layout of the data set. None keeps nothing.
    %(subjects)s
    images : path-like | None
        Where the pictures are, as for the loader of this data set; for THINGS-EEG2 and Alljoined-1.6M as in
        :func:`load_things_eeg2`. Pictures are not downloaded.
    %(cut)s
    nemar : str
        Address of NEMAR's data.
    openneuro : str
        Address of OpenNeuro's public bucket.

    Returns
    -------
    %(bunch)s

        Columns besides: as of the loader of this data set; of THINGS-EEG2 concept and split.

    Raises
    ------
    ConnectionError
        If a place cannot be reached, or a download ends early. Call again to go on.
    %(raises)s

    See Also
    --------
    load_bids : Any other data set, once it is downloaded.
    preprocess_things_eeg2 : THINGS-EEG2 from its files on OSF, by the published recipe.

    Notes
    -----
    What EEGDash lists as the 638 recordings of nm000232 are 319, once as BDF and once in ``sourcedata`` as they were
    recorded: 240 with pictures, which are taken, and 79 at rest. NEMAR tells a SHA-256, an MD5 or git's hash of every
    file. OpenNeuro's bucket tells an MD5 of files that were uploaded in one piece, and of others the size alone.

    Read in nm000232: names of all files, all events (66,840 training and 16,224 test trials a person, without targets),
    and channels of some recordings (63 at 1000 Hz). The addresses and the
    form of NEMAR's lists are those that its own client reads; no download could be tried from where this was written.

    References
    ----------
    .. [1] EEGDash, https://eegdash.org.

    Examples
    --------
    >>> from skeegclip.datasets import stream_eegdash
    >>> data = stream_eegdash("nm000232", "things-eeg2-store", tmax=0.8, sfreq=120)  # doctest: +SKIP
    >>> data.X.select(subject="sub-01", split="train").shape  # doctest: +SKIP
    """
    check_option("dataset", dataset, list(_KNOWN))
    data = _KNOWN[dataset]
    files = nemar_files(dataset, nemar) if dataset.startswith("nm") else _openneuro_files(dataset, openneuro)
    return load_published(
        (data,),
        out,
        folder=None if folder is None else Path(folder),
        files={file.name: file for file in files},
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


def _openneuro_files(dataset: str, base: str) -> list[Remote]:
    """List recordings and what lies beside them, and not the pictures."""
    prefixes = ["sub-", "task-", *_BESIDE.get(dataset, ())]
    found = [file for prefix in prefixes for file in s3_files(f"{dataset}/{prefix}", base)]
    return [replace(file, name=file.name.removeprefix(f"{dataset}/")) for file in found]
