"""Names of EEG sites and MEG sensors, and the regions they lie over."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """Split a text into words."""
    return tuple(text.split())


REGIONS = ("frontal", "central", "temporal", "parietal", "occipital")

# The 63 channels of THINGS-EEG2 (Fz was the reference) as the analyses by region of NICE and ATM group them.
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

SITE_ROWS = ("Fp", "AF", "F", "FT", "FC", "T", "C", "TP", "CP", "P", "PO", "O", "I")  # those of 10-10

# CTF sensors carry their region in the third letter: MLO11 is left occipital.
CTF = {"F": "frontal", "C": "central", "T": "temporal", "P": "parietal", "O": "occipital"}
