import numpy as np
import pytest
from scipy.linalg import polar
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from skeegclip import ZeroShotClassifier
from skeegclip.embeddings import class_codes
from skeegclip.embeddings.codes import _drawn


def test_the_same_classes_have_the_same_codes_in_any_order():
    some, others = class_codes(["b", "a", "z"]), class_codes(["a", "z", "b"])
    np.testing.assert_allclose(some.lookup(["a", "b"]), others.lookup(["a", "b"]), atol=1e-6)
    assert class_codes([1, 2]).meta["class_codes"] is True


@pytest.mark.parametrize("n", [2, 5, 64, 65, 200])
def test_codes_are_at_right_angles(n):
    vectors = class_codes(np.arange(n)).vectors
    assert vectors.shape == (n, max(64, n))
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n), atol=1e-5)


def test_no_orthonormal_vectors_are_nearer_to_those_drawn_by_label():
    """The Procrustes problem with the identity, solved by scipy."""
    labels = ["face", "house", "1", "tool"]
    drawn = np.stack([_drawn(label, 64) for label in labels])
    np.testing.assert_allclose(class_codes(labels).vectors, polar(drawn)[0], atol=1e-6)


def test_accuracy_does_not_depend_on_how_labels_are_spelt(rng):
    """Where epochs say little, a class whose code is near to the mean of all would be named for nothing."""
    label = np.resize(np.arange(5), 200)
    X = rng.standard_normal((200, 30)) + 0.5 * rng.standard_normal((5, 30))[label]
    spelt = [
        label,
        label.astype(str),
        4 - label,
        np.array(["house", "face", "tool", "food", "animal"])[label],
    ]
    for alpha in (10.0, 1e3, 1e6):
        decoder = ZeroShotClassifier(Ridge(alpha))
        right = [cross_val_predict(decoder, X, y, cv=KFold(5)) == y for y in spelt]
        for other in right[1:]:
            np.testing.assert_array_equal(other, right[0])
        assert right[0].mean() > 0.4


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_a_missing_label_is_refused(absent):
    with pytest.raises(ValueError, match="classes must not be missing"):
        class_codes(["a", absent])
