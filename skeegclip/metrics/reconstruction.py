"""How good reconstructed pictures are: the metrics that the papers report."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.params import check_number, check_option
from .._utils.pictures import as_list, as_samples, read_picture, square
from .._utils.seeding import draw_seed
from ._networks import (
    ALEXNET,
    CLIP,
    EFFICIENTNET,
    INCEPTION,
    SWAV,
    Network,
    extract,
    find_weights,
    load_network,
)
from .bootstrap import bootstrap_columns
from .ranking import n_way_probability

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_PIXELS = 425  # side at which pixels are compared
_CONSTANT = 1e-6  # spread, relative to the size of the values, that is only rounding
PIXEL_METRICS = ("PixCorr", "SSIM")
# Network, layer of those it gives, and how the correlations of features are summed up.
NETWORK_METRICS = {
    "AlexNet(2)": (ALEXNET, 0, "two-way"),
    "AlexNet(5)": (ALEXNET, 1, "two-way"),
    "Inception": (INCEPTION, 0, "two-way"),
    "CLIP": (CLIP, 0, "two-way"),
    "EffNet-B": (EFFICIENTNET, 0, "distance"),
    "SwAV": (SWAV, 0, "distance"),
}
METRICS = (*PIXEL_METRICS, *NETWORK_METRICS)


def reconstruction_scores(
    real: Any,
    generated: Any,
    metrics: str | Sequence[str] = "all",
    *,
    baselines: Mapping[str, Any] | None = None,
    weights: Any = None,
    stimulus: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
    device: str = "auto",
    batch_size: int = 32,
    verbose: int = 1,
) -> pd.DataFrame:
    """Compare reconstructed pictures with the real ones, by the eight usual metrics.

    The recipe is that of MindEye [1]_, which the papers on EEG follow [2]_. Pictures are cut to their centre
    square and resized bilinearly for each metric.

    ============  ===========================================  ======  =====================================
    Column        Features                                     Pixels  Value
    ============  ===========================================  ======  =====================================
    PixCorr       pixels                                       425     correlation of real and generated
    SSIM          grey levels                                  425     structural similarity, Gaussian of 1.5
    AlexNet(2)    AlexNet, after its second convolution        256     two-way identification
    AlexNet(5)    AlexNet, after its fifth convolution         256     two-way identification
    Inception     Inception-v3, last average pooling           342     two-way identification
    CLIP          CLIP ViT-L/14 (OpenAI), image embedding      224     two-way identification
    EffNet-B      EfficientNet-B1, last average pooling        255     1 - correlation, **lower is better**
    SwAV          ResNet-50 trained by SwAV, average pooling   224     1 - correlation, **lower is better**
    ============  ===========================================  ======  =====================================

    *Two-way identification* is the probability that the features of a generated picture correlate more with those of
    its own real picture than with those of another one, over all others: exact, with ties counted as one half, so that
    one picture generated for everything gives 0.5.

    Parameters
    ----------
    real : sequence of n pictures
        The pictures shown: an array (n, height, width, 3), or a list of arrays, PIL images or paths, whose sizes may
        differ. uint8, or float in [0, 1]; grey pictures get three equal channels.
    generated : sequence of n pictures, or of n sequences of pictures
        The reconstructions, in the same order. Where a row holds several (an array
        (n, n_images, height, width, 3), or lists), each is compared, and the mean counts.
    metrics : "all" | sequence of str
        Columns wanted. PixCorr and SSIM need no weights. "all" leaves out, with a warning that says how to get them, those
        whose weights are neither here nor to be downloaded; the others are an error then, before anything is computed.
    baselines : mapping of str to pictures, default=None
        Further rows by name: pictures, in the form of `generated`, to set beside the reconstructions.
    weights : path-like, default=None
        Folder of the networks' weights, under the names of their publishers: ``alexnet-owt-7be5be79.pth``,
        ``inception_v3_google-0cc3c7bd.pth``, ``efficientnet_b1-c27df63c.pth`` (all of torchvision),
        ``swav_800ep_pretrain.pth.tar`` and ``open_clip_model.safetensors`` (of the hub's
        ``timm/vit_large_patch14_clip_224.openai``). None downloads what is not in the caches of torch and the hub.
    stimulus : array-like of str of shape (n,), default=None
        What each row shows, where several rows show the same: then they are no distractors for one another, and are
        drawn together in the bootstrap. None takes every row for a stimulus of its own.
    confidence : float, default=0.95
        Coverage of the intervals.
    n_resamples : int, default=2000
        Bootstrap samples of the stimuli; 0 leaves the intervals out. The real pictures stay the same.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the bootstrap.
    device : str, default="auto"
        Torch device for the networks.
    batch_size : int, default=32
        Pictures that go through a network at once.
    verbose : int, default=1
        1 shows a bar where someone looks.

    Returns
    -------
    scores : DataFrame
        A row "generated", then one for each baseline. A column for each metric, then its interval over stimuli in
        ``<metric>_low`` and ``<metric>_high``.

    Raises
    ------
    TypeError
        If something is no picture, or of a type other than uint8 and float.
    ValueError
        If counts do not match, floats lie outside [0, 1], a metric is unknown, or there are fewer than two stimuli.
    FileNotFoundError
        If weights of a metric that was asked for by name are neither in the folder nor to be downloaded; the message says
        what to put where.

    Notes
    -----
    A picture of one colour correlates with nothing; its correlation is taken as 0. Features of equal pictures are
    computed once.

    References
    ----------
    .. [1] Scotti et al., "Reconstructing the Mind's Eye: fMRI-to-Image with Contrastive Learning and Diffusion
       Priors", NeurIPS 2023, arXiv:2305.18274.
    .. [2] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721, Table 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.metrics import reconstruction_scores
    >>> rng = np.random.default_rng(0)
    >>> real = rng.random((3, 16, 16, 3))
    >>> noisy = np.clip(real + rng.normal(0, 0.3, real.shape), 0, 1)
    >>> mean = np.broadcast_to(real.mean(axis=0), real.shape)
    >>> scores = reconstruction_scores(
    ...     real, noisy, ["PixCorr", "SSIM"], baselines={"mean picture": mean}, random_state=0
    ... )
    >>> scores[["PixCorr", "PixCorr_low", "PixCorr_high"]].round(2)
                  PixCorr  PixCorr_low  PixCorr_high
    generated        0.68         0.66          0.70
    mean picture     0.57         0.51          0.62
    """
    import pandas as pd

    from .._utils.progress import is_watched, tqdm

    wanted = computable(metrics, weights)
    check_number("n_resamples", n_resamples, low=0, integer=True)
    check_number("batch_size", batch_size, low=1, integer=True)
    shown = as_list(real, "real")
    rows = {"generated": _Row(generated, "generated", len(shown))}
    for name, pictures in (baselines or {}).items():
        if name in rows:
            raise ValueError('baselines: "generated" is the name of the first row. Choose another name.')
        rows[name] = _Row(pictures, f"baselines[{name!r}]", len(shown))
    first, target = _stimuli(stimulus, len(shown))
    networks = list(
        dict.fromkeys(NETWORK_METRICS[metric][0] for metric in wanted if metric in NETWORK_METRICS)
    )

    values: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in rows}
    n_passes = len(networks) + bool(set(wanted) & set(PIXEL_METRICS))
    total = n_passes * sum(len(row.pictures) for row in rows.values())
    with tqdm(total=total, desc="scoring", unit="picture", disable=not (verbose and is_watched())) as bar:
        for name, row in rows.items():
            values[name] |= row.average(_compare_pixels(shown, row, wanted, bar))
        for network in networks:
            module = load_network(network, weights, device)
            gallery = _features(network, module, [shown[i] for i in first], batch_size, "real")
            for name, row in rows.items():
                correlations = _correlate(network, module, row, gallery, batch_size, bar)
                values[name] |= row.average(_sum_up(network, wanted, correlations, target[row.owner]))

    seed = draw_seed(random_state)  # the same resamples for every row of the table
    table = {}
    for name, own in values.items():
        columns = np.stack([own[metric] for metric in wanted], axis=1)
        table[name] = dict(zip(wanted, columns.mean(axis=0), strict=True))
        if n_resamples:
            shares = [NETWORK_METRICS.get(metric, ("",))[-1] == "two-way" for metric in wanted]
            ends = bootstrap_columns(columns, target, confidence, n_resamples, seed, shares=shares)
            for metric, low, high in zip(wanted, *ends, strict=True):
                table[name] |= {f"{metric}_low": low, f"{metric}_high": high}
    return pd.DataFrame.from_dict(table, orient="index")


def pixel_scores(real: Sequence[Any], generated: Any) -> dict[str, NDArray[np.float64]]:
    """PixCorr and SSIM of each of n reconstructions, a mean where there are several pictures of one."""
    row = _Row(generated, "generated", len(real))
    return row.average(_compare_pixels(real, row, PIXEL_METRICS, None))


class _Row:
    """The pictures of one row of the table, and the row of `real` that each belongs to."""

    def __init__(self, pictures: Any, name: str, n: int) -> None:
        samples = as_samples(pictures, name)
        if len(samples) != n:
            raise ValueError(
                f"{name} must hold one picture (or stack of pictures) for each of the {n} of real, got"
                f" {len(samples)}."
            )
        counts = [len(as_list(own, f"{name}[{i}]")) for i, own in enumerate(samples)]
        self.name = name
        self.pictures = [picture for own in samples for picture in own]
        self.owner = np.repeat(np.arange(n), counts)
        self._counts = np.array(counts)

    def average(self, values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Average the values of the pictures of each row of `real`."""
        return {m: np.bincount(self.owner, weights=own) / self._counts for m, own in values.items()}


def computable(metrics: Any, weights: Any) -> list[str]:
    """Return the metrics that are wanted; of "all" those whose networks have weights, with a warning about the others.

    What would take long, such as painting, is begun after this.
    """
    if isinstance(metrics, str):
        check_option("metrics", metrics, ["all"])
        wanted = list(METRICS)
    else:
        wanted = [check_option("metrics", metric, METRICS) for metric in metrics]
        if not wanted:
            raise ValueError(f"metrics must name at least one of {', '.join(METRICS)}.")
    missing: dict[Network, str] = {}
    for network in dict.fromkeys(NETWORK_METRICS[m][0] for m in wanted if m in NETWORK_METRICS):
        try:
            find_weights(network, weights)
        except FileNotFoundError as error:
            if not isinstance(metrics, str):
                raise
            missing[network] = str(error)
    left_out = [m for m in wanted if m in NETWORK_METRICS and NETWORK_METRICS[m][0] in missing]
    if left_out:
        where = "" if weights is None else f" {os.fspath(weights)} has not all of them."
        files = ", ".join(network.url for network in missing)
        warnings.warn(
            f"metrics: {', '.join(left_out)} left out, for the weights of their networks are not here.{where} Download"
            f" {files} into a folder, keep their names, and pass weights=folder; or name the metrics that you want.",
            UserWarning,
            stacklevel=3,
        )
    return [m for m in wanted if m not in left_out]


def _stimuli(stimulus: Any, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row of each stimulus, and the stimulus (as a number) of each row."""
    names = np.arange(n) if stimulus is None else np.asarray(stimulus)
    if names.shape != (n,):
        raise ValueError(f"stimulus must have shape ({n},), one for each of real, got shape {names.shape}.")
    _, first, code = np.unique(names, return_index=True, return_inverse=True)
    if len(first) < 2:
        raise ValueError(f"real must show at least 2 stimuli, to tell one from another, got {len(first)}.")
    return first, code


def _compare_pixels(
    shown: Sequence[Any], row: _Row, wanted: Sequence[str], bar: Any
) -> dict[str, NDArray[np.float64]]:
    values = {metric: np.empty(len(row.pictures)) for metric in PIXEL_METRICS if metric in wanted}
    if not values:
        return values
    last = -1
    for i, (picture, owner) in enumerate(zip(row.pictures, row.owner.tolist(), strict=True)):
        if owner != last:
            real, last = square(read_picture(shown[owner], f"real[{owner}]"), _PIXELS), owner
        generated = square(read_picture(picture, row.name), _PIXELS)
        if "PixCorr" in values:
            values["PixCorr"][i] = _correlation(real, generated)
        if "SSIM" in values:
            values["SSIM"][i] = _ssim(real, generated)
        if bar is not None:
            bar.update()
    return values


def _correlation(real: np.ndarray, generated: np.ndarray) -> float:
    a, b = (picture.ravel().astype(np.float64) for picture in (real, generated))
    power = a @ a, b @ b
    a -= a.mean()
    b -= b.mean()
    spread = a @ a, b @ b
    # Resizing a picture of one colour leaves rounding, which would correlate with anything.
    if any(own <= _CONSTANT**2 * whole for own, whole in zip(spread, power, strict=True)):
        return 0.0
    return float(a @ b / np.sqrt(spread[0] * spread[1]))


def _ssim(real: np.ndarray, generated: np.ndarray) -> float:
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity

    return structural_similarity(
        rgb2gray(real),
        rgb2gray(generated),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
    )


def _features(
    network: Network, module: Any, pictures: Sequence[Any], batch_size: int, name: str
) -> list[np.ndarray]:
    """Standardised features of all pictures, for each layer."""
    batches = extract(network, module, pictures, batch_size=batch_size, name=name)
    return [_standardize(np.concatenate(parts)) for parts in zip(*batches, strict=True)]


def _correlate(
    network: Network, module: Any, row: _Row, gallery: Sequence[np.ndarray], batch_size: int, bar: Any
) -> list[np.ndarray]:
    """Correlations (n_pictures, n_real), for each layer; only those of one batch of features are held."""
    place: dict[Any, int] = {}  # equal pictures go through the network once
    code = np.array([place.setdefault(_key(picture), len(place)) for picture in row.pictures])
    first = np.unique(code, return_index=True)[1]
    parts: list[list[np.ndarray]] = [[] for _ in gallery]
    pictures = [row.pictures[i] for i in first]
    for batch in extract(network, module, pictures, batch_size=batch_size, name=row.name):
        for part, features, real in zip(parts, batch, gallery, strict=True):
            part.append(_standardize(features) @ real.T)
    bar.update(len(row.pictures))
    return [np.concatenate(part)[code] for part in parts]


def _key(picture: Any) -> Any:
    if isinstance(picture, (str, os.PathLike)):
        return os.fspath(picture)
    array = np.asarray(picture)
    return array.shape, array.dtype.str, hashlib.blake2b(array.tobytes()).digest()


def _sum_up(
    network: Network, wanted: Sequence[str], correlations: Sequence[np.ndarray], target: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    """Value of each picture, for each metric in the features of a network."""
    values = {}
    for metric, (own, layer, kind) in NETWORK_METRICS.items():
        if own is network and metric in wanted:
            found = correlations[layer]
            if kind == "two-way":
                values[metric] = n_way_probability(found, target, n_way=2)
            else:
                values[metric] = 1.0 - found[np.arange(len(found)), target].astype(np.float64)
    return values


def _standardize(features: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1, whose products are correlations; constant ones become 0."""
    centred = features - features.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    constant = length <= _CONSTANT * np.linalg.norm(features, axis=1, keepdims=True)
    return centred / np.where(constant, np.inf, length)
