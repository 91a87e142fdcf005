"""What a contest asks of a submission: a Solver that loads the model in this folder. It needs torch and nothing else."""

import json
import shutil
from pathlib import Path

import torch
from torch import nn

MODEL, FACTS = "model.pt2", "facts.json"


class Solver:
    """Loads the decoder of this folder, for inference only: there is nothing to fit, and so no method fit."""

    def load_model(self, meta):
        """Give the model for epochs as `meta` describes them.

        Its keys (or attributes): ch_names, or chs_info with "ch_name" in each; sfreq, n_chans, n_times, n_outputs, device,
        submission_dir. What is absent is taken to be as in training.
        """
        folder = Path(_of(meta, "submission_dir") or Path(__file__).parent)
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        device = torch.device(_of(meta, "device") or "cpu")
        order, n_chans = _channels(meta, facts)
        n_times = _times(meta, facts)
        n_outputs = _of(meta, "n_outputs")
        if n_outputs is not None and n_outputs != facts["n_outputs"]:
            raise ValueError(
                f"meta asks for n_outputs={n_outputs}, but this model was trained to give {facts['n_outputs']}."
            )
        try:
            program = torch.export.load(folder / MODEL)
        except Exception as error:
            raise RuntimeError(
                f"{MODEL} was written by torch {facts['torch']} and torch {torch.__version__} cannot read it ({error})."
                " Install the former."
            ) from error
        return Model(program, folder / MODEL, device, order, n_chans, n_times, facts["n_times"])

    def save_model(self, model, path):
        """Write a model that `load_model` gave: as model.pt2 into a folder, or as a file of another name."""
        path = Path(path)
        shutil.copyfile(model.source, path / MODEL if path.is_dir() else path)


class Model(nn.Module):
    """Epochs (batch, n_chans, n_times) in, predictions (batch, n_outputs) out; always in evaluation mode."""

    def __init__(self, program, source, device, order, n_chans, n_times, n_times_read):
        super().__init__()
        self.source, self.device, self.order = source, device, order
        self.n_chans, self.n_times, self.n_times_read = n_chans, n_times, n_times_read
        if device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        # In a list: as a submodule it would refuse eval(), and its constants would not follow to().
        self._runs = [program.module()]

    def forward(self, X):
        X = torch.as_tensor(X)
        if X.ndim != 3 or tuple(X.shape[1:]) != (self.n_chans, self.n_times):
            raise ValueError(
                f"X must have shape (batch, {self.n_chans}, {self.n_times}), as meta said, got {tuple(X.shape)}."
            )
        with torch.no_grad():
            x = X.to(self.device, torch.float32)
            if self.order is not None:
                x = x[:, self.order]
            x = resample(x, self.n_times_read)
            if len(x) == 1:  # a program holds for two rows or more
                return self._runs[0](torch.cat([x, x]))[:1].to(X.device)
            return self._runs[0](x.contiguous()).to(X.device)


def resample(x, n_times):
    """Bring epochs to so many samples over the same time, by their spectrum."""
    before = x.shape[-1]
    if before == n_times:
        return x
    fewer = min(before, n_times)
    spectrum = torch.fft.rfft(x)[..., : fewer // 2 + 1].clone()
    if fewer % 2 == 0:  # the highest frequency stands for itself and its mirror image
        spectrum[..., -1] *= 2 if n_times < before else 0.5
    return torch.fft.irfft(spectrum, n_times) * (n_times / before)


def _of(meta, name):
    return meta.get(name) if hasattr(meta, "get") else getattr(meta, name, None)


def _channels(meta, facts):
    """Where each channel of the model stands among those given, and how many are given."""
    wanted, names = facts["ch_names"], _of(meta, "ch_names")
    if names is None and _of(meta, "chs_info") is not None:
        names = [channel["ch_name"] for channel in _of(meta, "chs_info")]
    n_chans = _of(meta, "n_chans")
    if wanted is None or names is None:
        if n_chans is not None and n_chans != facts["n_chans"]:
            raise ValueError(
                f"meta says n_chans={n_chans}, but this model reads {facts['n_chans']} channels."
            )
        return None, facts["n_chans"]
    names = list(names)
    if n_chans is not None and n_chans != len(names):
        raise ValueError(f"meta says n_chans={n_chans}, but names {len(names)} channels.")
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(
            f"meta lacks {len(missing)} of the {len(wanted)} channels that this model reads: {', '.join(missing[:5])}."
        )
    order = [names.index(name) for name in wanted]
    return None if order == list(range(len(names))) else order, len(names)


def _times(meta, facts):
    """How many samples an epoch has as it is given; another rate is allowed where it covers the same time."""
    n_times, sfreq, trained = _of(meta, "n_times"), _of(meta, "sfreq"), facts["sfreq"]
    rate = 1.0 if sfreq is None or trained is None else sfreq / trained
    if n_times is None:
        n_times = round(facts["n_times"] * rate)
    if abs(n_times - facts["n_times"] * rate) > 0.5:
        raise ValueError(
            f"meta says n_times={n_times} at {sfreq or trained or 'unknown'} Hz, but this model reads epochs of"
            f" {facts['n_times']} samples at {trained or 'unknown'} Hz, another length of time."
        )
    return n_times
