import numpy as np
import pytest

from skeegclip.embeddings import class_codes


def test_a_code_depends_on_its_label_alone():
    some, others = class_codes(["b", "a"]), class_codes(["a", "z", "b"])
    np.testing.assert_array_equal(some.lookup(["a", "b"]), others.lookup(["a", "b"]))
    assert class_codes([1, 2]).meta["class_codes"] is True


def test_codes_are_unit_vectors_far_from_each_other():
    vectors = class_codes(np.arange(50)).vectors
    similarity = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(similarity), 1, rtol=1e-5)
    assert np.abs(similarity - np.eye(50)).max() < 0.6


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_a_missing_label_is_refused(absent):
    with pytest.raises(ValueError, match="classes must not be missing"):
        class_codes(["a", absent])
