import pytest
import torch

from skeegclip._utils.device import device_here, resolve_device, resolve_precision


def test_auto_takes_the_gpu_where_there_is_one():
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_precision("auto", "cpu") == "float32"
    assert resolve_precision("bfloat16", "cpu") == "bfloat16"


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="device must be .* got 'gpu'"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="precision must be one of"):
        resolve_precision("float16", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_named():
    with pytest.raises(ValueError, match='torch sees no CUDA device. Use device="auto"'):
        resolve_device("cuda:0")


def test_a_net_of_a_gpu_opens_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [device_here(device) for device in ("cuda:0", "cpu", "auto")] == ["cpu"] * 3
