"""Miniatures of published data sets: their names of files, their columns, and little in them."""

import io
import json

import mne
import numpy as np
import pandas as pd
import scipy.io

EEG = ["Fp1", "Fz", "Cz", "Pz", "Oz"]


def make_raw(seed, names=EEG, sfreq=250.0, n_seconds=12, kinds="eeg"):
    """Noise of 10 microvolts (MEG: 100 fT) with a level of its own in each channel."""
    rng = np.random.default_rng(seed)
    info = mne.create_info(list(names), sfreq, kinds, verbose=False)
    data = rng.standard_normal((len(names), int(n_seconds * sfreq))) + np.arange(len(names))[:, None]
    return mne.io.RawArray(data * (1e-5 if kinds == "eeg" else 1e-13), info, verbose=False)


def write_bdf(path, raw):
    """Write BioSemi's format by its description: EDF with 24 bits."""
    data, rate = raw.get_data() * 1e6, int(raw.info["sfreq"])
    n, n_records = len(data), data.shape[1] // rate
    low, high = -1000, 1000
    digital = np.round((data - low) / (high - low) * (2**24 - 1) - 2**23).astype("<i4")

    def texts(values, width):
        return "".join(f"{value!s:<{width}}"[:width] for value in values).encode("ascii")

    header = b"\xffBIOSEMI" + texts(["X X X X", "Startdate X X X X"], 80) + b"01.01.0100.00.00"
    header += (
        texts([256 * (n + 1)], 8)
        + texts(["24BIT"], 44)
        + texts([n_records], 8)
        + texts([1], 8)
        + texts([n], 4)
    )
    header += texts(raw.ch_names, 16) + texts([""] * n, 80) + texts(["uV"] * n, 8)
    header += (
        texts([low] * n, 8) + texts([high] * n, 8) + texts([-(2**23)] * n, 8) + texts([2**23 - 1] * n, 8)
    )
    header += texts([""] * n, 80) + texts([rate] * n, 8) + texts([""] * n, 32)
    records = digital[:, : n_records * rate].reshape(n, n_records, rate).transpose(1, 0, 2)
    path.write_bytes(header + np.ascontiguousarray(records).view("u1").reshape(-1, 4)[:, :3].tobytes())


def write_tsv(path, **columns):
    """Write a table as MNE-BIDS does, with a byte order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False, encoding="utf-8-sig")


def write_channels(path, raw, kinds=None, bads=()):
    kinds = ["EEG"] * len(raw.ch_names) if kinds is None else kinds
    status = ["bad" if name in bads else "good" for name in raw.ch_names]
    write_tsv(
        path, name=raw.ch_names, type=kinds, units="µV", sampling_frequency=raw.info["sfreq"], status=status
    )


def write_image_list(path, train, test):
    """Write image_metadata.npy as THINGS-EEG2 has it; pictures are (concept, name)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {}
    for split, pictures in (("train", train), ("test", test)):
        concepts = list(dict.fromkeys(concept for concept, _ in pictures))
        content[f"{split}_img_concepts"] = [f"{concepts.index(c) + 1:05d}_{c}" for c, _ in pictures]
        content[f"{split}_img_files"] = [f"{name}.jpg" for _, name in pictures]
    out = io.BytesIO()
    np.save(out, content, allow_pickle=True)
    path.write_bytes(out.getvalue())


def write_design(path, sharedix, subjectim):
    """Write NSD's design."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"sharedix": sharedix, "subjectim": subjectim, "other": np.zeros(3)})


def write_markers(path, marks, start="2025-02-05T11:18:00"):
    """Write the marks of an EMOTIV headset: (label, value, index, seconds from the start of the recording)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = pd.Timestamp(start)
    markers = [
        {
            "deleted": False,
            "extras": {},
            "index": index,
            "label": label,
            "port": "Software",
            "startDatetime": (begin + pd.Timedelta(seconds=seconds)).isoformat(timespec="microseconds")
            + "-08:00",
            "type": "instance",
            # Some of the files have text here.
            "value": value if index % 2 else str(value),
        }
        for label, value, index, seconds in marks
    ]
    path.write_text(json.dumps({"Markers": markers, "headsetType": "FLEX2"}))


def by_mne(raw, onsets, tmin, tmax, scale=1e6, baseline=(None, 0)):
    """Epochs as MNE alone makes them."""
    samples = np.round(np.asarray(onsets) * raw.info["sfreq"]).astype(int) + raw.first_samp
    events = np.column_stack([samples, np.zeros_like(samples), np.arange(1, len(samples) + 1)])
    epochs = mne.Epochs(
        raw,
        events,
        tmin=tmin,
        tmax=tmax,
        baseline=baseline,
        proj=False,
        preload=True,
        picks="data",
        verbose=False,
    )
    assert len(epochs) == len(onsets)
    return epochs.get_data() * scale


# Epochs as they are recorded: nothing but cutting and units is between the file and the store.
PLAIN = {"band": None, "sfreq": None, "tmin": -0.1, "tmax": 0.5, "verbose": 0}
