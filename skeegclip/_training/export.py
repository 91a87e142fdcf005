"""A fitted encoder as an ONNX file."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._utils.persistence import write_whole
from .._version import __version__
from ..nets.names import name_of
from .net import EncoderNet, embed
from .sharing import rebuild_net, weights_of

_TOLERANCE = 1e-4  # of the largest value of the embeddings


class _Exported(nn.Module):
    """The network with the names that the inputs have in the file."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, epochs: Tensor, subject: Tensor | None = None) -> Tensor:
        return self.net(epochs) if subject is None else self.net(epochs, subject=subject)


def export_encoder(encoder: Any, path: str | os.PathLike) -> None:
    """Translate the network, compare it with torch's, and write it, whole or not at all."""
    onnx, runtime = _import_onnx()
    # On the CPU and in single precision, wherever and however it was trained.
    net = rebuild_net(encoder.fitted_.spec, weights_of(encoder.net_), device="cpu", precision="float32")
    n_subjects = len(encoder.subjects_) if net.takes_subject_ and encoder.subject_layer != "none" else 0
    inputs = _example(encoder, net, n_rows=2, n_subjects=n_subjects)
    name = name_of(encoder.fitted_.spec.net, encoder.net) or type(net.module_).__name__
    model = _translate(net, inputs, name)
    facts = {
        "skeegclip": __version__,
        "net": name,
        "unit": "microvolts (MEG: fT)",
        "sfreq": encoder.fitted_.spec.net_params.get("sfreq"),
        "n_chans": encoder.n_chans_,
        "n_times": encoder.n_times_in_,
        "n_outputs": encoder.n_outputs_,
        "ch_names": encoder.ch_names_,
        "subjects": encoder.subjects_.tolist() if n_subjects else [],
    }
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})
    content = model.SerializeToString()
    _compare(runtime, content, net, encoder, n_subjects, name)
    write_whole(path, content)


def _import_onnx() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter stands on it
    except ImportError as error:
        raise ImportError(
            f"export needs onnx, onnxscript and onnxruntime ({error}). Install them with"
            " pip install 'skeegclip[onnx]'."
        ) from error
    return onnx, onnxruntime


def _example(encoder: Any, net: EncoderNet, n_rows: int, n_subjects: int) -> tuple[Tensor, ...]:
    rng = np.random.default_rng(0)
    spread = encoder.fitted_.spec.input_spread
    x = spread * rng.standard_normal((n_rows, encoder.n_chans_, encoder.n_times_in_)).astype(np.float32)
    epochs = torch.from_numpy(x)
    # Known subjects and an unknown one.
    return (epochs, torch.arange(n_rows) % (n_subjects + 1) - 1) if n_subjects else (epochs,)


def _translate(net: EncoderNet, inputs: tuple[Tensor, ...], name: str) -> Any:
    names = ["epochs", "subject"][: len(inputs)]
    batch = torch.export.Dim("batch")
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(
                _Exported(net.module_),
                inputs,
                dynamic_shapes={key: {0: batch} for key in names},
                strict=False,
            )
            # Not "embedding": a name may occur only once, and networks have layers of that name.
            return torch.onnx.export(
                program, input_names=names, output_names=["embeddings"], verbose=False
            ).model_proto
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"net={name!r} cannot be exported: torch.export says {reason[0].rstrip('.')!r}. Use another net, or save()."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch's exporter tells its own developers."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _compare(runtime: Any, content: bytes, net: EncoderNet, encoder: Any, n_subjects: int, name: str) -> None:
    """Refuse a file that does not give what the network gives, for one epoch and for several."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for n_rows in (1, 5):
        inputs = _example(encoder, net, n_rows, n_subjects)
        given = {key.name: value.numpy() for key, value in zip(session.get_inputs(), inputs, strict=True)}
        codes = inputs[1] if n_subjects else torch.full((n_rows,), -1)
        z = embed(net, inputs[0].numpy(), codes.numpy()).numpy()
        error = float(np.abs(session.run(None, given)[0] - z).max() / max(float(np.abs(z).max()), 1e-12))
        if not error <= _TOLERANCE:
            raise ValueError(
                f"net={name!r} cannot be exported: onnxruntime's embeddings differ from torch's by {error:.1e} of their"
                f" size, more than {_TOLERANCE:g}. Use another net, or save()."
            )
