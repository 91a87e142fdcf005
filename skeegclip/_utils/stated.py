"""What an input says of its epochs, and the one comparison of two that should be alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from .plain import record

# Clocks of devices differ by less; over some thousand samples it is less than half of one.
_SAME_RATE = 1e-4
_SAME_START = 0.49  # samples


@record
@dataclass(frozen=True)
class Stated:
    """What is known of epochs beside their numbers. None is not known, and agrees with everything.

    Attributes
    ----------
    ch_names, ch_types : tuple of str | None
        Name and type of each channel.
    sfreq : float | None
        Sampling rate in Hz.
    tmin : float | None
        Time of the first sample in seconds.
    referenced : bool | None
        Whether the channels were given a reference (an average, say) other than that of the recording.
    bads : tuple of str
        Channels that are marked as bad.
    size : tuple of float | None
        How large the numbers are, see :func:`~skeegclip._utils.size.size_of`.
    mixed : bool
        Whether epochs of several caps stand together: the channels are those of all caps, and NaN where an epoch lacks one.
    """

    ch_names: tuple[str, ...] | None = None
    ch_types: tuple[str, ...] | None = None
    sfreq: float | None = None
    tmin: float | None = None
    referenced: bool | None = None
    bads: tuple[str, ...] = ()
    size: tuple[float, float] | None = None
    mixed: bool = False


def check_alike(X: Stated, other: Stated, owner: str) -> None:
    """Refuse epochs X whose channels, rate, start or reference contradict those of others.

    Parameters
    ----------
    X, other : Stated
        What both say.
    owner : str
        Whose `other` is, for the messages: "EEGEncoder was fitted with".

    Raises
    ------
    ValueError
        Names what differs, and what to do.
    """
    if X.ch_names is not None and other.ch_names is not None:
        _check_names(X.ch_names, other.ch_names, owner)
    if X.ch_types is not None and other.ch_types is not None:
        for place, (mine, theirs) in enumerate(zip(X.ch_types, other.ch_types, strict=False)):
            if mine != theirs:
                name = f" ({X.ch_names[place]!r})" if X.ch_names is not None else ""
                raise ValueError(
                    f"X has a channel of type {mine!r} in place {place}{name}, but {owner} one of type {theirs!r} there."
                    " Give both the same with epochs.set_channel_types(), or process them alike."
                )
    rates = X.sfreq, other.sfreq
    if rates[0] is not None and rates[1] is not None and abs(rates[0] - rates[1]) > _SAME_RATE * rates[1]:
        raise ValueError(
            f"X has a sampling rate of {rates[0]:g} Hz, but {owner} one of {rates[1]:g} Hz."
            " Bring both to one rate with epochs.resample()."
        )
    if X.tmin is not None and other.tmin is not None:
        sfreq = X.sfreq or other.sfreq or 1000.0
        if abs(X.tmin - other.tmin) * sfreq > _SAME_START:
            raise ValueError(
                f"X begins at {X.tmin:g} s, but {owner} epochs that begin at {other.tmin:g} s."
                " Crop both to the same times."
            )
    if X.referenced is not None and other.referenced is not None and X.referenced != other.referenced:
        states = {
            True: "another reference than it was recorded with",
            False: "the reference of the recording",
        }
        raise ValueError(
            f"X has {states[X.referenced]} as far as its info tells, but {owner} {states[other.referenced]}."
            " Give both the same with epochs.set_eeg_reference()."
        )


def _check_names(mine: tuple[str, ...], theirs: tuple[str, ...], owner: str) -> None:
    if mine == theirs:
        return
    remedy = (
        "Reorder with epochs.reorder_channels()."
        if sorted(mine) == sorted(theirs)
        else "Pick the same channels in the same order, with mne.channels.equalize_channels() for example."
    )
    for place, (a, b) in enumerate(zip_longest(mine, theirs)):
        if a != b:
            what = "no further channel" if a is None else f"channel {a!r}"
            where = f"none in place {place}" if b is None else f"{b!r} there"
            at = f" in place {place}" if b is not None else ""
            raise ValueError(f"X has {what}{at}, but {owner} {where}. {remedy}")
