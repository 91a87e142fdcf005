"""Names of EEG sites and MEG sensors, and the regions they lie over."""

from __future__ import annotations

import re
from collections.abc import Iterable


def words(text: str) -> tuple[str, ...]:
    """Split a text into words."""
    return tuple(text.split())


REGIONS = ("frontal", "central", "temporal", "parietal", "occipital")

# The 63 channels of THINGS-EEG2 (Fz was the reference) in the order of its arrays.
THINGS_EEG_CHANNELS: tuple[str, ...] = words(
    """Fp1 Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 F2 F4 F6 F8 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10
    T7 C5 C3 C1 Cz C2 C4 C6 T8 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10
    P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO3 POz PO4 PO8 O1 Oz O2"""
)

# The same as the analyses by region of NICE and ATM group them.
THINGS_EEG_REGIONS: dict[str, tuple[str, ...]] = {
    "frontal": words("Fp1 Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 F2 F4 F6 F8"),
    "central": words("FC3 FC1 FCz FC2 FC4 C3 C1 Cz C2 C4"),
    "temporal": words("FT9 FT7 FC5 FC6 FT8 FT10 T7 C5 C6 T8 TP9 TP7 TP8 TP10"),
    "parietal": words("CP5 CP3 CP1 CPz CP2 CP4 CP6 P7 P5 P3 P1 Pz P2 P4 P6 P8"),
    "occipital": words("PO7 PO3 POz PO4 PO8 O1 Oz O2"),
}

# The channels that Gifford et al. published, and that later work decodes from.
OCCIPITO_PARIETAL = words("P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO3 POz PO4 PO8 O1 Oz O2")

# Rows of the 10-10 system, and between them those of 10-05, which go with the row before them.
ROWS: dict[str, str] = {
    row: region
    for region, rows in {
        "frontal": "Fp AFp AF AFF F FFT FFC",
        "temporal": "FT FTT T TTP TP TPP",
        "central": "FC FCC C CCP CP CPP",
        "parietal": "P PPO",
        "occipital": "PO POO O OI I",
    }.items()
    for row in rows.split()
}

# CTF sensors carry their region in the third letter: MLO11 is left occipital.
CTF = {"F": "frontal", "C": "central", "T": "temporal", "P": "parietal", "O": "occipital"}

THINGS_REGION = {name.upper(): region for region, names in THINGS_EEG_REGIONS.items() for name in names}
_REGION_OF_ROW = {row.upper(): region for row, region in ROWS.items()}
_SITE = re.compile(rf"({'|'.join(sorted(_REGION_OF_ROW, key=len, reverse=True))})(?:Z|[1-9]H?|10H?)")
_OLD = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}  # of the 10-20 system
_LETTERED = re.compile(
    r"[A-H](?:[1-9]|[12]\d|3[0-2])"
)  # BioSemi's A1 to H32, with C1 to C10 and F1 to F10 among them
_EARS = ("A1", "A2")


def sites_of(name: str) -> tuple[str, ...]:
    """Return the 10-05 sites in a channel's name, in capitals: one in "EEG Fp1-Ref" and "Fc5.", two in "Fpz-Cz"."""
    # An apostrophe belongs to its word: C3' is not C3.
    parts = [part for part in re.split(r"[^A-Z0-9']+", name.upper()) if part]
    sites = (_OLD.get(part, part) for part in parts)
    return tuple(dict.fromkeys(site for site in sites if _SITE.fullmatch(site)))


def region_of(site: str) -> str:
    """Return the region of a site by its letters."""
    match = _SITE.fullmatch(site)
    assert match is not None
    return _REGION_OF_ROW[match[1]]


def is_lettered(site: str) -> bool:
    """Whether BioSemi calls an electrode so too, which is somewhere else."""
    return _LETTERED.fullmatch(site) is not None


def are_lettered(names: Iterable[str]) -> bool:
    """Whether there are channels that only BioSemi calls so."""
    words = (name.upper() for name in names)
    return any(is_lettered(name) and not sites_of(name) and name not in _EARS for name in words)
