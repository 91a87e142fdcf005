import numpy as np
import pytest
import torch

from skeegclip._utils.seeding import draw_seed, seeded_torch


def test_seeded_block_repeats_and_leaves_the_global_generator():
    before = torch.get_rng_state()
    with seeded_torch(3, "cpu"):
        first = torch.rand(4)
    with seeded_torch(3, "cpu"):
        assert torch.equal(torch.rand(4), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_generator_is_restored_after_an_error():
    before = torch.get_rng_state()

    def fail():
        with seeded_torch(3, "cpu"):
            torch.rand(4)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_come_from_every_kind_of_random_state():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert draw_seed(5) == 5
    assert draw_seed(np.int64(5)) == 5
    assert draw_seed(None) != draw_seed(None)
    assert draw_seed(np.random.RandomState(0)) == draw_seed(np.random.RandomState(0))
    assert draw_seed(np.random.default_rng(0)) == draw_seed(np.random.default_rng(0))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("bad", [-1, 2**32, "a", 1.5, True])
def test_what_is_no_seed_is_refused(bad):
    with pytest.raises(ValueError, match="random_state must"):
        draw_seed(bad)
