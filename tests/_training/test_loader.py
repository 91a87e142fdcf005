import contextlib
import gc
import threading

import numpy as np
import pytest
import torch

from skeegclip import EpochsView
from skeegclip._training import loader
from skeegclip._training.loader import BatchLoader, EpochsDataset, read_ahead, whole
from skeegclip._training.targets import Targets


@pytest.fixture
def X():
    return np.arange(22, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), dtype=np.float32)


def dataset(X, rows=None, text=None):
    targets = Targets(np.eye(11, dtype=np.float32), np.arange(22) // 2, text)
    return EpochsDataset(X, np.arange(22) - 1, targets, np.arange(22) if rows is None else rows, "cpu")


def rows_of(loader):
    return [inputs["x"][:, 0, 0].int().tolist() for inputs, _ in loader]


@pytest.mark.parametrize("n_rows", [2, 5, 10, 11, 21])
def test_batches_are_of_even_size_and_cover_every_row_once(X, n_rows):
    loader = BatchLoader(dataset(X, np.arange(n_rows)), 10, shuffle=True, seed=0)
    batches = rows_of(loader)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= 10
    assert max(sizes) - min(sizes) <= 1
    assert len(loader) == len(batches)
    assert sorted(sum(batches, [])) == list(range(n_rows))


def test_rows_keep_their_subject_and_targets(X):
    text = -np.eye(11, dtype=np.float32)
    for inputs, target in BatchLoader(dataset(X, text=text), 8, shuffle=True, seed=1):
        rows = inputs["x"][:, 0, 0].long()
        assert torch.equal(inputs["subject"], rows - 1)
        assert torch.equal(target["stimulus"], rows // 2)
        assert torch.equal(target["target"], torch.eye(11)[rows // 2])
        assert torch.equal(target["text"], -torch.eye(11)[rows // 2])


def test_orders_differ_between_passes_and_repeat_with_the_seed(X):
    loader, same = (BatchLoader(dataset(X), 8, shuffle=True, seed=0) for _ in range(2))
    first, second = rows_of(loader), rows_of(loader)
    assert first != second
    assert [rows_of(same), rows_of(same)] == [first, second]
    later = dataset(X)
    later.first_pass = 1
    assert rows_of(BatchLoader(later, 8, shuffle=True, seed=0)) == second
    assert rows_of(BatchLoader(dataset(X), 8)) == [list(range(8)), list(range(8, 15)), list(range(15, 22))]


def test_views_give_the_batches_of_their_array(X):
    a = BatchLoader(dataset(X), 8, shuffle=True, seed=0)
    b = BatchLoader(dataset(EpochsView.from_arrays(X)), 8, shuffle=True, seed=0)
    assert rows_of(a) == rows_of(b)


def test_a_view_is_put_on_a_device_a_part_at_a_time(X):
    X = np.repeat(X, 100, axis=0)
    tensor = whole(EpochsView.from_arrays(X)[::-1], "cpu")
    np.testing.assert_array_equal(tensor.numpy(), X[::-1])
    assert torch.equal(whole(X, "cpu"), torch.from_numpy(X))


def test_read_only_arrays_do_not_warn(X):
    X.flags.writeable = False
    assert len(rows_of(BatchLoader(dataset(X), 8))) == 3


def test_reading_ahead_keeps_the_order_and_reads_one_part_ahead():
    started = []

    def read(part):
        started.append(part)
        return 10 * part

    loop = read_ahead(read, range(5))
    assert next(loop) == 0
    assert list(loop) == [10, 20, 30, 40]
    assert started == [0, 1, 2, 3, 4]


def test_the_next_part_is_read_while_the_last_is_worked_on():
    second = threading.Event()
    loop = read_ahead(lambda part: second.set() if part else None, [0, 1])
    next(loop)
    assert second.wait(10)


def test_errors_of_reading_come_up_where_the_part_is_due():
    def read(part):
        if part == 2:
            raise OSError("disk gone")
        return part

    got = []
    with pytest.raises(OSError, match="disk gone"):
        got.extend(iter(read_ahead(read, range(5))))
    loop = read_ahead(read, range(5))
    assert [next(loop), next(loop)] == [0, 1]
    with pytest.raises(OSError, match="disk gone"):
        next(loop)


def test_no_thread_outlives_a_loop_that_was_left():
    loader = BatchLoader(dataset(EpochsView.from_arrays(np.zeros((22, 2, 3)))), 4)
    for _ in loader:
        with contextlib.suppress(KeyboardInterrupt):
            raise KeyboardInterrupt
        break
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("skeegclip-read")]


@pytest.mark.parametrize(("free", "moved"), [(2 * 22 * 2 * 3 * 4, True), (2 * 22 * 2 * 3 * 4 - 2, False)])
def test_data_go_to_a_gpu_whole_where_they_take_half_of_what_is_free(X, monkeypatch, free, moved):
    # No GPU is needed to see what is decided; "cpu" stands for it where the data are moved.
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    monkeypatch.setattr(loader, "whole", lambda X, device: whole(X, "cpu"))
    for data in (X, EpochsView.from_arrays(X)):
        placed = loader.on_device(data, "cuda:0")
        assert isinstance(placed, torch.Tensor) == moved
        assert loader.on_device(data, "cpu") is data
        assert rows_of(BatchLoader(dataset(placed), 8)) == rows_of(BatchLoader(dataset(X), 8))
