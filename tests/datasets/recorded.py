"""Small recordings in the formats of real ones, written by other means than those that read them."""

from functools import cache

import mne
import numpy as np
import scipy.io

NAMES = ["Fp1", "Fz", "Cz", "Pz", "O1", "Oz", "O2", "HEOG"]
SFREQ = 500.0
MARK = 0.4  # seconds between pictures


@cache
def montage():
    return mne.channels.make_standard_montage("standard_1020")


def make_raw(seed=0, n_seconds=40, sfreq=SFREQ, names=NAMES, first_samp=0):
    """Noise in volts, each channel with a level of its own, positions, and an EOG."""
    rng = np.random.default_rng(seed)
    info = mne.create_info(
        list(names), sfreq, ["eog" if n == "HEOG" else "eeg" for n in names], verbose=False
    )
    info["line_freq"] = 50
    data = 1e-6 * (
        10 * rng.standard_normal((len(names), int(n_seconds * sfreq))) + 3 * np.arange(len(names))[:, None]
    )
    raw = mne.io.RawArray(data, info, first_samp=first_samp, verbose=False)
    raw.set_montage(montage(), on_missing="ignore", verbose=False)
    return raw.set_meas_date(1_500_000_000.0)


def write_edf(path, raw, unit="uV", factor=1e6):
    """Write EDF by its published layout: records of a second, 16 bits; `factor` from volts to the unit named."""
    data, rate = raw.get_data() * factor, int(raw.info["sfreq"])
    n_records, n = data.shape[1] // rate, len(data)
    data = data[:, : n_records * rate]
    low, high = np.floor(data.min(axis=1)), np.ceil(data.max(axis=1))
    digital = np.round((data - low[:, None]) / (high - low)[:, None] * 65535 - 32768).astype("<i2")

    def texts(values, width):
        return "".join(f"{value!s:<{width}}"[:width] for value in values)

    header = texts(["0"], 8) + texts(["X X X X"], 80) + texts(["Startdate X X X X"], 80) + "01.01.2001.00.00"
    header += (
        texts([256 * (n + 1)], 8) + texts([""], 44) + texts([n_records], 8) + texts([1], 8) + texts([n], 4)
    )
    header += texts(raw.ch_names, 16) + texts([""] * n, 80) + texts([unit] * n, 8)
    header += (
        texts(low.astype(int), 8)
        + texts(high.astype(int), 8)
        + texts([-32768] * n, 8)
        + texts([32767] * n, 8)
    )
    header += texts([""] * n, 80) + texts([rate] * n, 8) + texts([""] * n, 32)
    records = digital.reshape(n, n_records, rate).transpose(1, 0, 2)
    path.write_bytes(
        header.replace("01.01.2001.00.00", "01.01.0100.00.00").encode("ascii") + records.tobytes()
    )
    return (high - low).max() / 65535 / factor  # the step, in volts


def write_set(path, raw, events=()):
    """Write EEGLAB's format: microvolts in a file of their own; events are (type, latency in samples from 1)."""
    data = (raw.get_data() * 1e6).astype("<f4")
    path.with_suffix(".fdt").write_bytes(data.T.tobytes())
    chans = np.zeros(len(data), dtype=[("labels", object), ("X", object), ("Y", object), ("Z", object)])
    for row, (name, ch) in enumerate(zip(raw.ch_names, raw.info["chs"], strict=True)):
        x, y, z = 700 * np.nan_to_num(ch["loc"][:3])
        chans[row] = (name, y, -x, z)
    marks = np.zeros(len(events), dtype=[("type", object), ("latency", object), ("duration", object)])
    for row, (kind, latency) in enumerate(events):
        marks[row] = (kind, float(latency), 0.0)
    eeg = {
        "setname": "x", "nbchan": len(data), "pnts": data.shape[1], "trials": 1, "srate": raw.info["sfreq"],
        "xmin": 0.0, "xmax": (data.shape[1] - 1) / raw.info["sfreq"], "data": f"{path.stem}.fdt",
        "chanlocs": chans, "event": marks, "icawinv": [], "icaweights": [], "icasphere": [], "icachansind": [],
        "ref": "common", "epoch": [], "chaninfo": {"plotrad": 0.5}, "urevent": [],
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": eeg}, appendmat=False)


def write_brainvision(path, raw, marks=(), resolution=0.01, unit="µV"):
    """Write BrainVision's three files: 16 bits of `resolution` microvolts, marks (type, text, sample from 1), positions."""
    data = np.round(raw.get_data() * 1e6 / resolution)
    assert abs(data).max() < 2**15
    scale = {"µV": 1.0, "mV": 1e-3}[unit]
    path.with_suffix(".eeg").write_bytes(data.T.astype("<i2").tobytes())
    lines = [
        "Brain Vision Data Exchange Header File Version 1.0", "", "[Common Infos]", "Codepage=UTF-8",
        f"DataFile={path.stem}.eeg", f"MarkerFile={path.stem}.vmrk", "DataFormat=BINARY",
        "DataOrientation=MULTIPLEXED", f"NumberOfChannels={len(data)}",
        f"SamplingInterval={1e6 / raw.info['sfreq']:.6f}", "", "[Binary Infos]", "BinaryFormat=INT_16", "",
        "[Channel Infos]",
        *(f"Ch{n}={name},,{resolution * scale:g},{unit}" for n, name in enumerate(raw.ch_names, 1)),
        "", "[Coordinates]", *(f"Ch{n}=1,{10 * n},{20 * n}" for n in range(1, len(data) + 1)), "",
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    lines = [
        "Brain Vision Data Exchange Marker File, Version 1.0", "", "[Common Infos]", "Codepage=UTF-8",
        f"DataFile={path.stem}.eeg", "", "[Marker Infos]", "Mk1=New Segment,,1,1,0,20170714000000000000",
        *(f"Mk{n}={kind},{text},{sample},1,0" for n, (kind, text, sample) in enumerate(marks, 2)), "",
    ]  # fmt: skip
    path.with_suffix(".vmrk").write_text("\n".join(lines), encoding="utf-8")


def by_hand(raw, onsets, tmin=-0.2, tmax=1.0, baseline=(None, 0), picks="eeg"):
    """Epochs in microvolts (MEG: fT), as somebody makes them with MNE alone; every one of them must be there."""
    samples = np.round(np.asarray(onsets) * raw.info["sfreq"]).astype(int) + raw.first_samp
    events = np.column_stack([samples, np.zeros_like(samples), np.arange(1, len(samples) + 1)])
    epochs = mne.Epochs(
        raw,
        events,
        tmin=tmin,
        tmax=tmax,
        baseline=baseline,
        picks=picks,
        proj=False,
        preload=True,
        verbose=False,
    )
    assert len(epochs) == len(onsets)
    return epochs.get_data() * (1e6 if picks == "eeg" else 1e15)
