"""What an epoch lacks is told from what is broken, and does not count."""

import mne
import numpy as np
import pytest

from skeegclip._utils.absent import absent, filled
from skeegclip._utils.size import size_of
from skeegclip._utils.sketch import content_hashes
from skeegclip._utils.spread import typical_spread
from skeegclip._utils.validation import check_finite
from skeegclip.epochs import EpochsView


@pytest.fixture
def lacking(rng):
    X = rng.normal(size=(6, 5, 30)).astype(np.float32)
    X[:3, 2:] = np.nan
    return X


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def joined(X):
    """The first three epochs have a cap of two channels, the others one of five."""
    infos = [mne.create_info([f"E{k}" for k in range(n)], 100.0, "eeg") for n in (2, 5)]
    return EpochsView.join(
        [
            EpochsView.from_arrays(part, info=info)
            for part, info in zip((X[:3, :2], X[3:]), infos, strict=True)
        ]
    )


def test_only_channels_without_any_number_are_absent(lacking):
    lacking[5, 0, 0] = np.nan
    expected = np.zeros((6, 5), dtype=bool)
    expected[:3, 2:] = True
    assert np.array_equal(absent(lacking), expected)
    assert np.isnan(filled(lacking)).sum() == 1
    assert (filled(lacking)[:3, 2:] == 0).all()


def test_nothing_is_copied_where_nothing_is_missing(rng):
    X = rng.normal(size=(2, 3, 4))
    assert filled(X) is X


def test_broken_numbers_and_epochs_without_channels_are_refused(lacking):
    check_finite(lacking, mixed=True)
    with pytest.raises(ValueError, match="NaN: first in epoch 0, channel 2"):
        check_finite(lacking)
    lacking[4, 1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN: first in epoch 4, channel 1, time 3"):
        check_finite(lacking, mixed=True)
    lacking[:, :] = np.nan
    with pytest.raises(ValueError, match="epoch 7 has none of these channels"):
        check_finite(lacking[:1], rows=[7], mixed=True)


def test_size_and_spread_are_those_of_the_channels_that_are_there(lacking):
    view = joined(lacking)
    assert np.array_equal(np.isnan(view), np.isnan(lacking))
    own = [lacking[:3, :2].std(axis=2), lacking[3:].std(axis=2)]
    rms = np.sort([np.sqrt(np.mean(row**2)) for part in own for row in part.astype(float)])
    size = size_of(view)
    assert size[0] == pytest.approx(rms[3], rel=1e-5)
    middle = np.sort([np.sort(row)[len(row) // 2] for part in own for row in part])
    assert size[1] == pytest.approx(middle[3], rel=1e-5)
    mean = np.nanmean(lacking.astype(float), axis=(0, 2))
    by_hand = np.median(np.sqrt(np.nanmean((lacking - mean[:, None]) ** 2, axis=(1, 2))))
    assert typical_spread(view) == pytest.approx(by_hand, rel=1e-5)
    assert typical_spread(view, chans=np.array([3, 4])) == pytest.approx(
        typical_spread(lacking[3:, 3:]), rel=1e-5
    )


def test_copies_of_epochs_with_fewer_channels_are_found(lacking):
    hashes = content_hashes(joined(lacking), np.arange(6))
    assert len(set(hashes.tolist())) == 6
    assert 0 not in hashes
    assert np.array_equal(content_hashes(joined(3 * lacking), np.arange(6)), hashes)
