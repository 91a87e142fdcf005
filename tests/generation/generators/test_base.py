import numpy as np
import pytest

from skeegclip.generation.generators.base import check_captions, check_embeddings, check_low_level, row_seeds


def test_seeds_belong_to_rows():
    assert row_seeds(7, 3) == row_seeds(7, 5)[:3]
    assert len(set(row_seeds(7, 100))) == 100
    assert row_seeds(7, 3) != row_seeds(8, 3)
    assert row_seeds(np.array([5, 5, 9]), 3) == [5, 5, 9]
    assert row_seeds(None, 2) != row_seeds(None, 2)
    rng = np.random.default_rng(0)
    assert row_seeds(rng, 2) != row_seeds(rng, 2)


@pytest.mark.parametrize("seeds", [[1, 2], [1.0, 2.0, 3.0], np.ones((3, 1), int)])
def test_seeds_of_other_rows_are_refused(seeds):
    with pytest.raises(ValueError, match="a seed, or an array of 3 ints"):
        row_seeds(seeds, 3)


def test_arguments_are_checked():
    assert check_captions(None, 2) == ["", ""]
    assert check_captions(np.array(["a", "b"]), 2) == ["a", "b"]
    assert check_low_level(None, 2) is None
    with pytest.raises(TypeError, match="captions must be a list of strings"):
        check_captions("a dog", 1)
    with pytest.raises(TypeError, match="captions must be a list of strings"):
        check_captions([None], 1)
    with pytest.raises(ValueError, match=r"captions must hold one text per embedding \(2\), got 1"):
        check_captions(["a"], 2)
    with pytest.raises(ValueError, match=r"low_level must hold one picture per embedding \(2\), got 1"):
        check_low_level(np.zeros((1, 8, 8, 3)), 2)
    with pytest.raises(ValueError, match="embeddings have 3 dimensions, but this generator takes 1024"):
        check_embeddings(np.zeros((2, 3)), 1024)
    with pytest.raises(ValueError, match="NaN"):
        check_embeddings([[np.nan]])
