"""What is missing is missed at every door: masked numbers, and None or NaN among ids."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import (
    DiffusionPrior,
    EEGEncoder,
    EmbeddingTable,
    EpochsView,
    ImageRetriever,
    ZeroShotClassifier,
)
from skeegclip._utils.missing import id_array, is_missing
from skeegclip.generation import LinearGenerator, NearestImageGenerator
from skeegclip.metrics import (
    category_confusion,
    cosine_similarity,
    csls,
    inverted_softmax,
    ranks,
    reconstruction_scores,
)
from skeegclip.preprocessing import MVNN, EpochScaler, average_repetitions

RNG = np.random.default_rng(0)
IDS = [f"s{i}" for i in range(10)]
V = RNG.normal(size=(10, 6))
X = 10 * RNG.normal(size=(40, 4, 30)).astype("float32")
Y = IDS * 4
PICTURES = RNG.random((10, 8, 8, 3))
del RNG
TABLE = EmbeddingTable(IDS, V)
MISSING = [
    ["a", np.nan] * 20,
    ["a", None] * 20,
    ("a", float("nan")) * 20,
    np.array(["a", np.nan] * 20, dtype=object),
    pd.Series(["a", np.nan] * 20),
    pd.Series(["a", None] * 20, dtype="string"),
    pd.Categorical(["a", None] * 20),
    [pd.NaT] * 40,
]


def encoder(**params):
    return EEGEncoder("eegproject", max_epochs=1, validation=0, device="cpu", **params)


DOORS = {
    "cosine": lambda bad: cosine_similarity(bad(V), V),
    "cosine, gallery": lambda bad: cosine_similarity(V, bad(V)),
    "csls": lambda bad: csls(bad(V)),
    "inverted_softmax": lambda bad: inverted_softmax(bad(V)),
    "ranks": lambda bad: ranks(bad(V), np.zeros(10, int)),
    "confusion": lambda bad: category_confusion(bad(V[:6]), np.arange(6), list("ababab")),
    "average": lambda bad: average_repetitions(bad(X), Y),
    "scaler": lambda bad: EpochScaler().fit(bad(X)),
    "MVNN": lambda bad: MVNN().fit(bad(X), Y),
    "table": lambda bad: EmbeddingTable(IDS, bad(V)),
    "view": lambda bad: EpochsView.from_arrays(bad(X)),
    "encoder": lambda bad: encoder(targets=TABLE).fit(bad(X), Y),
    "encoder, y": lambda bad: encoder().fit(X, bad(np.tile(V, (4, 1)))),
    "retriever": lambda bad: ImageRetriever(Ridge(), targets=TABLE).fit(bad(X), Y),
    "passthrough": lambda bad: ImageRetriever("passthrough", gallery=TABLE).fit(bad(V)),
    "prior, Z": lambda bad: DiffusionPrior(targets=TABLE, max_epochs=1).fit(bad(V), IDS),
    "prior, y": lambda bad: DiffusionPrior(max_epochs=1).fit(V, bad(V)),
    "generator": lambda bad: LinearGenerator(size=8).fit(bad(V), (255 * PICTURES).astype("uint8")),
    "pictures": lambda bad: reconstruction_scores(bad(PICTURES), PICTURES, metrics=["PixCorr"]),
}


def masked(array):
    mask = np.zeros(array.shape, dtype=bool)
    mask.flat[3] = True
    return np.ma.masked_array(array, mask)


def with_nan(array):
    array = array.copy()
    array.flat[3] = np.nan
    return array


@pytest.mark.parametrize("door", sorted(DOORS))
@pytest.mark.parametrize("bad", [masked, with_nan, lambda array: array + 1j])
def test_no_number_is_lost_in_silence(door, bad):
    with pytest.raises((ValueError, TypeError), match=r"masked|NaN|nan|[Cc]omplex|real"):
        DOORS[door](bad)


@pytest.mark.parametrize("door", ["cosine", "ranks", "average", "encoder, y", "pictures"])
def test_a_mask_that_hides_nothing_is_no_mask(door):
    got = DOORS[door](lambda array: np.ma.masked_array(array, np.zeros(array.shape, dtype=bool)))
    expected = DOORS[door](np.array)
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(got, expected)
    elif isinstance(expected, tuple):
        np.testing.assert_array_equal(got[0], expected[0])
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(got, expected)


ID_DOORS = {
    "subject of an encoder": lambda ids: encoder(targets=TABLE).fit(X, Y, subject=ids),
    "labels of a classifier": lambda ids: ZeroShotClassifier(Ridge()).fit(X, ids),
    "labels of a retriever": lambda ids: ImageRetriever(Ridge()).fit(X, ids),
    "what is averaged": lambda ids: average_repetitions(X, ids),
    "who is averaged": lambda ids: average_repetitions(X, Y, subject=ids),
    "stimuli of a view": lambda ids: EpochsView.from_arrays(X, stimulus=ids),
    "subjects of a view": lambda ids: EpochsView.from_arrays(X, subject=ids),
    "conditions": lambda ids: MVNN().fit(X, ids),
    "sessions": lambda ids: EpochScaler().fit(X, session=ids),
    "ids of a table": lambda ids: EmbeddingTable(ids[:2], V[:2]),
    "categories": lambda ids: category_confusion(np.eye(2), [0, 1], ids[:2]),
}


@pytest.mark.parametrize("door", sorted(ID_DOORS))
@pytest.mark.parametrize("ids", MISSING, ids=range(len(MISSING)))
def test_nobody_is_called_nan(door, ids):
    with pytest.raises(ValueError, match=r"missing \(None or NaN\) in (20|1|40|2) rows"):
        ID_DOORS[door](ids)


def test_people_called_nan_are_people():
    _, _, subject = average_repetitions(X, Y, subject=["nan", "None"] * 20)
    assert set(subject) == {"nan", "None"}
    assert id_array(["a", 1, None]).tolist() == ["a", 1, None]
    assert id_array(["a", "b"]).dtype.kind == "U"
    assert id_array([1, 2.5]).dtype == float
    assert [
        is_missing(value) for value in (None, np.nan, pd.NA, pd.NaT, np.float32("nan"), "nan", 0, "")
    ] == ([True] * 5 + [False] * 3)


def test_nearest_pictures_ask_for_whole_embeddings():
    generator = NearestImageGenerator().fit(V, (255 * PICTURES).astype("uint8"))
    with pytest.raises(ValueError, match="masked"):
        generator.generate(masked(V))
