"""braindecode's augmentations in training: applied there alone, repeatable, resumed, refused where they mix targets."""

import copy

import numpy as np
import pytest
import torch
from braindecode.augmentation import (
    AmplitudeScale,
    ChannelsDropout,
    ChannelsShuffle,
    ChannelsSymmetry,
    Compose,
    FrequencyShift,
    FTSurrogate,
    GaussianNoise,
    IdentityTransform,
    MaskEncoding,
    Mixup,
    SegmentationReconstruction,
    SensorsZRotation,
    SignFlip,
    SmoothTimeMask,
    TimeReverse,
    Transform,
)
from sklearn.base import clone
from skorch.callbacks import Callback

from skeegclip import EEGEncoder
from skeegclip._training.augment import Augment

NAMES = ["C3", "Cz", "C4", "Oz"]
TRANSFORMS = {
    "several": [GaussianNoise(0.5, std=0.5), SmoothTimeMask(0.7, mask_len_samples=20), SignFlip(0.2)],
    "composed": Compose([TimeReverse(0.5), Compose([AmplitudeScale(0.5)])]),
    "surrogate": FTSurrogate(0.5),
    "channels": [ChannelsDropout(0.5), ChannelsShuffle(0.5), ChannelsSymmetry(0.5, NAMES)],
    "frequencies": FrequencyShift(0.5, sfreq=100),
    "sensors": SensorsZRotation(0.5, NAMES),
    "mask": MaskEncoding(0.5, max_mask_ratio=0.3),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 4, 100), dtype="float32"), np.repeat(
        rng.standard_normal((20, 6)), 2, axis=0
    )


def make(augment, **params):
    params = {
        "max_epochs": 3,
        "batch_size": 16,
        "random_state": 0,
        "device": "cpu",
        "validation": 0.2,
        **params,
    }
    return EEGEncoder("eegproject", augment=augment, **params)


@pytest.mark.parametrize("how", TRANSFORMS)
def test_fits_are_equal_and_differ_from_plain_ones(data, how):
    augment, before = TRANSFORMS[how], np.random.get_state()[1].copy()  # noqa: NPY002
    z = make(augment).fit(*data).transform(data[0])
    np.testing.assert_array_equal(make(augment).fit(*data).transform(data[0]), z)
    np.testing.assert_array_equal(clone(make(augment)).fit(*data).transform(data[0]), z)
    assert not np.allclose(z, make(None).fit(*data).transform(data[0]))
    assert not np.allclose(z, make(augment, random_state=1).fit(*data).transform(data[0]))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_an_augmentation_that_does_nothing_changes_nothing(data):
    z = make(IdentityTransform()).fit(*data).transform(data[0])
    np.testing.assert_array_equal(z, make(None).fit(*data).transform(data[0]))


class Count(Transform):
    """Adds one to every batch and remembers how many rows it saw; a user's own transform."""

    def __init__(self):
        super().__init__(probability=1)
        self.seen = []

    def operation(self, X, y):
        self.seen.append(len(X))
        return X + 1, y


def test_only_training_batches_are_augmented_and_the_users_object_is_left_alone(data):
    mine = Count()
    rng = mine.rng
    encoder = make(mine, max_epochs=2).fit(*data)
    copied = encoder.net_.iterator_train__augment.transforms[0]
    assert sum(copied.seen) == 2 * 32  # two passes over 32 of 40 epochs: the validation set is not among them
    z = encoder.transform(data[0])
    assert sum(copied.seen) == 2 * 32
    assert mine.seen == []
    assert mine.rng is rng
    np.testing.assert_array_equal(encoder.transform(data[0]), z)


def test_numbers_differ_from_batch_to_batch_and_from_pass_to_pass():
    augment, x = Augment(GaussianNoise(1.0, std=1.0), seed=0), torch.zeros(2, 3, 50)
    augment.start_pass(0)
    first, second = augment(x), augment(x)
    augment.start_pass(1)
    third = augment(x)
    augment.start_pass(0)
    assert torch.equal(augment(x), first)
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)
    two = Augment([GaussianNoise(1.0, std=1.0), GaussianNoise(1.0, std=1.0)], seed=0)
    two.start_pass(0)
    assert not torch.allclose(two(x), 2 * first)  # each transform has numbers of its own


class Stop(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise RuntimeError("stop")


def test_a_resumed_run_ends_as_an_uninterrupted_one(data, tmp_path):
    augment = TRANSFORMS["several"]
    plain = make(augment, max_epochs=5).fit(*data)
    with pytest.raises(RuntimeError, match="stop"):
        make(augment, max_epochs=5, checkpoint_dir=tmp_path, callbacks=[Stop()]).fit(*data)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = make(augment, max_epochs=5, checkpoint_dir=tmp_path).fit(*data)
    np.testing.assert_array_equal(resumed.transform(data[0]), plain.transform(data[0]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "other",
    [
        None,
        GaussianNoise(0.4, std=0.5),
        GaussianNoise(0.5, std=0.6),
        [GaussianNoise(0.5, std=0.5), SignFlip(0.1)],
        FTSurrogate(0.5),
    ],
)
def test_runs_with_another_augmentation_do_not_collide(data, tmp_path, other):
    runs = {}
    for name, augment in {
        "mine": GaussianNoise(0.5, std=0.5),
        "same": GaussianNoise(0.5, std=0.5),
        "other": other,
    }.items():
        with pytest.raises(RuntimeError, match="stop"):
            make(augment, checkpoint_dir=tmp_path / name, callbacks=[Stop()]).fit(*data)
        (runs[name],) = (path.name for path in (tmp_path / name).iterdir())
    assert runs["mine"] == runs["same"] != runs["other"]


def test_settings_of_long_tables_are_compared_whole():
    table = [
        Augment(SensorsZRotation(0.5, NAMES), 0).settings(),
        Augment(SensorsZRotation(0.5, NAMES[::-1]), 0).settings(),
    ]
    assert table[0] != table[1]


def test_on_the_fly_settings_do_not_depend_on_the_generator():
    one, two = (Augment(GaussianNoise(0.5, random_state=seed), 0) for seed in (0, None))
    assert repr(one.settings()) == repr(two.settings())


def test_it_can_be_copied_and_searched_over(data):
    from sklearn.model_selection import GridSearchCV, KFold

    search = GridSearchCV(make(None), {"augment": [None, SignFlip(0.5)]}, cv=KFold(2), error_score="raise")
    search.fit(*data)
    assert len(search.cv_results_["params"]) == 2
    copy.deepcopy(make(SignFlip(0.5)).fit(*data)).transform(data[0])


class Shorter(Transform):
    def __init__(self):
        super().__init__(probability=1)

    def forward(self, X, y=None):
        return X[:, :, ::2], y


@pytest.mark.parametrize(
    ("augment", "error", "match"),
    [
        (
            torch.nn.Dropout(0.5),
            TypeError,
            "augment must be a Transform of braindecode.augmentation, or a list",
        ),
        ([SignFlip(0.5), "noise"], TypeError, "got 'noise' of type str"),
        (SignFlip, TypeError, "of type type"),
        (Mixup(0.5), ValueError, "augment: Mixup mixes epochs or changes their order"),
        (
            SegmentationReconstruction(1.0, n_segments=4),
            ValueError,
            "augment: SegmentationReconstruction mixes",
        ),
        (Shorter(), ValueError, r"Shorter changes the shape of a batch from \(16, 4, 100\) to \(16, 4, 50\)"),
    ],
)
def test_what_cannot_augment(data, augment, error, match):
    encoder = make(augment)
    with pytest.raises(error, match=match):
        encoder.fit(*data)
    assert not hasattr(encoder, "net_")


def test_without_braindecode_nothing_is_a_transform(data, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "braindecode.augmentation")
    with pytest.raises(TypeError, match="augment must be a Transform"):
        make(print).fit(*data)
