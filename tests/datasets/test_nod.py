"""NOD in miniature: EEGLAB's and Neuromag's files, and pictures that a second table tells."""

import numpy as np
import pandas as pd
import pytest

from skeegclip.datasets import load_nod

from .published import EEG, PLAIN, by_mne, make_raw, write_channels, write_tsv
from .recorded import write_set

ONSETS = {1: [1.0, 2.5, 4.0], 2: [0.5, 3.0, 7.0]}
SESSIONS = ["ImageNet01", "ImageNet02"]


def picture(session, run, trial):
    return f"n0144076{session}_{100 * run + trial}"


def raw_of(kind, session, run):
    seed = 10 * session + run
    if kind == "eeg":
        return make_raw(seed, [*EEG, "HEO"]).set_montage("standard_1005", on_missing="ignore", verbose=False)
    return make_raw(seed, ["MLO11-1609", "MRO11-1609", "BG1-4504"], kinds=["mag", "mag", "ref_meg"])


def write_nod(root, kind, suffix="set"):
    trials = []
    for session, name in enumerate(SESSIONS, 1):
        folder = root / "sub-03" / f"ses-{name}" / kind
        for run, onsets in ONSETS.items():
            stem = f"sub-03_ses-{name}_task-ImageNet_run-{run:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            raw = raw_of(kind, session, run)
            if kind == "eeg":
                write_set(folder / f"{stem}_eeg.set", raw)
                write_channels(folder / f"{stem}_channels.tsv", raw, ["EEG"] * len(EEG) + ["EOG"])
            else:
                raw.save(folder / f"{stem}_meg.fif", verbose=False)
                write_channels(folder / f"{stem}_channels.tsv", raw, ["MEGGRADAXIAL"] * 2 + ["MEGREFMAG"])
            write_tsv(
                folder / f"{stem}_events.tsv",
                onset=[0.0, *np.repeat(onsets, 2), 11.0],
                duration=0.002,
                trial_type=["begin", *["stim_on", "resp"] * len(onsets), "end"],
                value=0,
            )
            trials += [
                {
                    "subject": 3,
                    "session": name,
                    "run": run,
                    "class_id": f"n0144076{session}",
                    "image_id": picture(session, run, t),
                }
                for t in range(len(onsets))
            ]
    place = root / "derivatives" / "detailed_events"
    place.mkdir(parents=True)
    # As the table may have them: not in the order of the files.
    pd.DataFrame(trials[::-1]).sort_values(["run", "session"], kind="stable").iloc[::-1].to_csv(
        place / "sub-03_events.csv", index=False
    )
    return root


def test_eeg(tmp_path):
    root = write_nod(tmp_path / "ds005811", "eeg")
    data = load_nod(root, tmp_path / "store", **PLAIN)
    expected = [
        by_mne(raw_of("eeg", session, run).set_channel_types({"HEO": "eog"}), ONSETS[run], -0.1, 0.5)
        for session in (1, 2)
        for run in (1, 2)
    ]
    assert data.X.ch_names == tuple(EEG)
    np.testing.assert_allclose(data.X, np.concatenate(expected), atol=1e-3)
    assert data.y.tolist() == [picture(s, r, t) for s in (1, 2) for r in (1, 2) for t in range(3)]
    assert data.concept.tolist() == ["n01440761"] * 6 + ["n01440762"] * 6
    assert data.X.rows["session"].tolist() == ["ImageNet01"] * 6 + ["ImageNet02"] * 6
    assert data.X.rows["run"].tolist() == (["01"] * 3 + ["02"] * 3) * 2
    assert "split" not in data


def test_meg(tmp_path):
    root = write_nod(tmp_path / "ds005810", "meg")
    data = load_nod(root, tmp_path / "store", **PLAIN)
    raw = raw_of("meg", 1, 1).pick(["MLO11-1609", "MRO11-1609"])
    assert data.X.ch_names == ("MLO11-1609", "MRO11-1609")
    np.testing.assert_allclose(
        np.asarray(data.X)[:3], by_mne(raw, ONSETS[1], -0.1, 0.5, scale=1e15), rtol=1e-4, atol=1e-2
    )


def test_tables_that_disagree_are_refused(tmp_path):
    root = write_nod(tmp_path / "ds005811", "eeg")
    file = root / "derivatives" / "detailed_events" / "sub-03_events.csv"
    table = pd.read_csv(file)
    table[table.index != table.index[-1]].to_csv(file, index=False)
    with pytest.raises(
        ValueError,
        match=r"its events show 3 pictures, but derivatives/detailed_events/sub-03_events.csv lists 2",
    ):
        load_nod(root, tmp_path / "store", **PLAIN)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="sub-03_events.csv' is missing"):
        load_nod(root, tmp_path / "other", **PLAIN)
