"""CLIP features as the reference publishes them, made embedding tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embeddings import EmbeddingTable

if TYPE_CHECKING:
    import pandas as pd

_PATTERN = "*_features_train.pt"


def find_features(features: str | None, near: list[Path], manifest: pd.DataFrame) -> tuple[Any, Any]:
    """Read the pair ``{model}_features_train.pt`` and ``..._test.pt`` beside the recordings.

    Parameters
    ----------
    features : str | None
        The model, "ViT-H-14" say. None takes the only pair that is there.
    near : list of Path
        Folders to look in.
    manifest : DataFrame
        The pictures, in the order of the features.

    Returns
    -------
    image_embeddings, text_embeddings : EmbeddingTable | None
        By stimulus id, and by concept; None if there are no such files.
    """
    pattern = _PATTERN if features is None else f"{features}_features_train.pt"
    found = {path.resolve(): None for folder in near for path in sorted(folder.glob(pattern))}
    if not found:
        if features is not None:
            raise FileNotFoundError(
                f"features: no file {features}_features_train.pt in {' or '.join(map(str, near))}."
                ' fetch_things_eeg2(what="features") downloads those of ViT-H-14.'
            )
        return None, None
    if len(found) > 1:
        names = [path.name.removesuffix("_features_train.pt") for path in found]
        raise ValueError(
            f"features: there are several models, {', '.join(names)}. Choose one: features={names[0]!r}."
        )
    train = next(iter(found))
    paths = {"train": train, "test": train.with_name(train.name.replace("_train.pt", "_test.pt"))}
    images, texts, concepts = [], [], []
    for split, path in paths.items():
        part = manifest[manifest["split"] == split]
        of_images, of_texts = _read(path)
        names = part["concept"].drop_duplicates().tolist()
        images.append(_fitting(of_images, {"pictures": len(part)}, "img_features", path))
        texts.append(
            _fitting(of_texts, {"concepts": len(names), "pictures": len(part)}, "text_features", path)
        )
        if len(of_texts) == len(part):  # a text for each picture: the same for all of a concept
            texts[-1] = of_texts[~part["concept"].duplicated().to_numpy()]
        concepts += names
    meta = {"source": train.name, "model": train.name.removesuffix("_features_train.pt")}
    return (
        _table(manifest_ids(manifest), np.concatenate(images), meta),
        _table(concepts, np.concatenate(texts), meta),
    )


def manifest_ids(manifest: pd.DataFrame) -> list[str]:
    """Stimulus ids, training pictures first."""
    return [id_ for split in ("train", "test") for id_ in manifest["id"][manifest["split"] == split]]


def _table(ids: list[str], vectors: np.ndarray, meta: dict[str, Any]) -> EmbeddingTable:
    # The reference has made files of unit vectors and others of raw ones under one name: say which these are.
    unit = bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3))
    return EmbeddingTable(ids, vectors, meta={**meta, "normalized": unit})


def _fitting(vectors: np.ndarray, wanted: dict[str, int], key: str, path: Path) -> np.ndarray:
    if vectors.ndim != 2 or len(vectors) not in wanted.values():
        counts = " or ".join(f"{count} ({name})" for name, count in wanted.items())
        raise ValueError(
            f"features: {key} in {str(path)!r} has shape {vectors.shape}, but must have {counts} rows."
            " Were they computed for the same pictures?"
        )
    return vectors


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"features: {str(path)!r} is missing beside its training half.") from None
    except Exception as error:  # what torch raises for a bad file is not documented
        raise ValueError(
            f"features: {str(path)!r} is refused, damaged, or holds more than tensors"
            f" ({type(error).__name__}). Nothing of it was run. Download it again from its publisher."
        ) from error
    found = content if isinstance(content, dict) else {}
    pair = [found.get(key) for key in ("img_features", "text_features")]
    if not all(isinstance(tensor, torch.Tensor) for tensor in pair):
        held = sorted(map(str, found)) if found else type(content).__name__
        raise ValueError(
            f"features: {str(path)!r} must hold the tensors 'img_features' and 'text_features', got {held}."
        )
    images, texts = (tensor.float().numpy() for tensor in pair)  # type: ignore[union-attr]
    return images, texts
