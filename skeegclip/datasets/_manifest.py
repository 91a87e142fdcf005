"""Which row is which image: the manifest of THINGS-EEG2's pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._pickles import read_pickled_dict

if TYPE_CHECKING:
    import pandas as pd

SPLITS = {"train": "training_images", "test": "test_images"}
IMAGE_FOLDERS = ("image_set", "images_set", "images", "Image_set", ".")
_LIST = "image_metadata.npy"
_SUFFIXES = (".jpg", ".jpeg", ".png")


def find_manifest(images: str | os.PathLike | None, near: list[Path]) -> pd.DataFrame | None:
    """Read the manifest from where the user says, or look for it.

    Parameters
    ----------
    images : path-like | None
        Folder of pictures, ``image_metadata.npy``, or a CSV file. None looks beside the recordings.
    near : list of Path
        Folders to look in.

    Returns
    -------
    DataFrame | None
        Columns id, concept, split, path ("" where there is a name but no picture), in the order of the recordings;
        None if nothing is found.
    """
    if images is not None:
        path = Path(images)
        if not path.exists():
            raise FileNotFoundError(f"images: {str(path)!r} does not exist.")
        if path.is_file():
            return _from_list(path)
        manifest = _look(path)
        if manifest is None:
            raise ValueError(
                f"images: {str(path)!r} holds neither the folders training_images/00001_aardvark/... and"
                f" test_images/00001_aircraft_carrier/... nor the file {_LIST}."
            )
        return manifest
    return next((found for folder in near if (found := _look(folder)) is not None), None)


def numbered_manifest(n_images: dict[str, int], n_per_concept: dict[str, int]) -> pd.DataFrame:
    """Make ids and concepts of numbers, where nothing tells the names."""
    import pandas as pd

    parts = []
    for split, count in n_images.items():
        number = np.arange(count)
        concept = number // n_per_concept[split]
        parts.append(
            pd.DataFrame(
                {
                    "id": [f"{split}_{i + 1:05d}" for i in number],
                    "concept": [f"{split}_concept_{c + 1:05d}" for c in concept],
                    "split": split,
                    "path": "",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def concept_of(folder: str) -> str:
    """Return the concept of a folder: "00001_aardvark" is "aardvark"."""
    number, _, name = folder.partition("_")
    return name if number.isdigit() and name else folder


def _look(folder: Path) -> pd.DataFrame | None:
    for name in IMAGE_FOLDERS:
        if all((folder / name / split).is_dir() for split in SPLITS.values()):
            return _from_folders(folder / name)
    for name in IMAGE_FOLDERS:
        if (folder / name / _LIST).is_file():
            return _from_list(folder / name / _LIST)
    return None


def _from_folders(root: Path) -> pd.DataFrame:
    """List the pictures as the recordings number them: sorted by folder, then by name."""
    rows = []
    # Not with pathlib, which takes a second for THINGS-EEG2's 16,740 pictures.
    for split, name in SPLITS.items():
        place = os.path.join(root, name)
        for concept in sorted(entry.name for entry in os.scandir(place) if entry.is_dir()):
            folder = os.path.join(place, concept)
            files = sorted(file for file in os.listdir(folder) if file.lower().endswith(_SUFFIXES))
            rows += [(split, concept, file, os.path.join(folder, file)) for file in files]
    return _manifest(rows, root)


def _from_list(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".npy":
        content: dict[str, Any] = read_pickled_dict(path)
        try:
            rows = [
                (split, concept, file)
                for split in SPLITS
                for concept, file in zip(
                    content[f"{split}_img_concepts"], content[f"{split}_img_files"], strict=True
                )
            ]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"images: {str(path)!r} is not the image_metadata.npy of THINGS-EEG2 ({error})."
            ) from None
    else:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if not {"split", "concept", "file"} <= set(table):
            raise ValueError(
                f"images: {str(path)!r} must have the columns split, concept and file, got {list(table)}."
            )
        rows = list(zip(table["split"], table["concept"], table["file"], strict=True))
    return _manifest(
        [
            (split, concept, file, _picture(path.parent, split, concept, file))
            for split, concept, file in rows
        ],
        path,
    )


def _picture(root: Path, split: str, concept: str, file: str) -> str:
    path = root / SPLITS.get(split, split) / concept / file
    return str(path) if path.is_file() else ""


def _manifest(rows: list[tuple[str, str, str, str]], source: Path) -> pd.DataFrame:
    import pandas as pd

    manifest = pd.DataFrame(
        {
            "id": [os.path.splitext(str(file))[0] for _, _, file, _ in rows],
            "concept": [concept_of(str(concept)) for _, concept, _, _ in rows],
            "split": [str(split) for split, *_ in rows],
            "path": [path for *_, path in rows],
        },
        dtype=object,
    )
    repeated = manifest["id"][manifest["id"].duplicated()]
    if len(repeated):
        raise ValueError(
            f"images: {str(source)!r} has {len(repeated)} pictures whose names are not unique"
            f" (first: {repeated.iloc[0]!r}). Stimulus ids are file names; rename these."
        )
    if not set(manifest["split"]) <= set(SPLITS):
        raise ValueError(
            f"images: {str(source)!r} has splits {sorted(set(manifest['split']))}; they must be 'train' and 'test'."
        )
    return manifest
