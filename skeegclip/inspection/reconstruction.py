"""What can be painted from a part of the epochs: pictures over growing windows, and by region of the head."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .._evaluation.cuts import windows
from .._utils.params import check_option
from ._partial import painting_problem, reconstructions
from ._texts import shared_texts
from .results import PartialReconstructions
from .space import channels_of_regions
from .time import times_of


@shared_texts
def reconstruct_over_time(
    reconstructor: Any,
    X: Any,
    *,
    cv: Any,
    stimuli: Sequence[str] | None = None,
    mode: str = "growing",
    width: float = 0.1,
    step: float | None = None,
    refit: bool = True,
    groups: Any = None,
    average_test: bool = True,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> PartialReconstructions:
    """Paint what was seen from windows that grow, or slide, over the epochs.

    Parameters
    ----------
    %(reconstructor)s
    %(X)s
    %(cv)s
    %(stimuli)s
    %(mode)s
    %(width)s
    %(step)s
    refit : bool
        Whether each window has a reconstructor of its own: what *can be* painted from it. False trains once, on whole
        epochs, and hides from the test epochs all but the window (under the mean of the training epochs).
    %(groups)s
    %(average_test)s
    %(interval)s
    %(running)s

    Returns
    -------
    PartialReconstructions
        Pictures of every window, and a table of their scores.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or times are not known.
    KeyError
        If a stimulus is in no test set, or has no picture.

    See Also
    --------
    time_resolved : Accuracy of retrieval in the same windows.
    skeegclip.plotting.plot_partial_reconstructions : Draw the pictures.

    Notes
    -----
    ``two-way`` is exact identification by pixels among all test pictures of the fold, painted or not: 0.5 is chance.
    PixCorr and SSIM have no such level: a blurry mean picture has both above zero. Compare with a window that ends
    before the picture comes. For metrics in the features of networks hand ``shown`` and ``pictures[i]`` to
    :func:`skeegclip.metrics.reconstruction_scores`.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, section 3.4
    and figure 7c.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EEGImageReconstructor, EpochsView
    >>> from skeegclip.datasets import make_things_like
    >>> from skeegclip.generation import LinearGenerator
    >>> from skeegclip.inspection import reconstruct_over_time
    >>> from skeegclip.model_selection import WithinSubject
    >>> data = make_things_like(n_train_concepts=60, n_test_concepts=20, sfreq=50, tmin=-0.2, snr=20, random_state=0)
    >>> painter = EEGImageReconstructor(
    ...     Ridge(1e4), targets=data.image_embeddings, images=data.images, generator=LinearGenerator(size=16)
    ... )
    >>> tests = sorted(set(data.y[data.split == "test"]))
    >>> view = EpochsView.from_arrays(data.X, stimulus=data.y, info=data.info, tmin=-0.2)
    >>> found = reconstruct_over_time(painter, view, cv=WithinSubject(test_stimuli=tests), step=0.5)
    >>> found.pictures.shape
    (2, 20, 16, 16, 3)
    >>> (found.table["two-way"] > 0.65).tolist()  # before the picture comes, and with 0.4 s of it
    [False, True]
    """
    check_option("mode", mode, ["growing", "sliding"])
    problem = painting_problem(reconstructor, X, cv, groups, average_test, interval, random_state)
    times = times_of(problem)
    spans = windows(times, mode, width, step)
    parts = [{"first": int(first), "stop": int(stop)} for first, stop in spans]
    what = {"start": times[spans[:, 0]], "stop": times[spans[:, 1] - 1]}
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    return reconstructions(problem, stimuli, parts, what, refit, interval, todo)


@shared_texts
def reconstruct_by_region(
    reconstructor: Any,
    X: Any,
    *,
    cv: Any,
    stimuli: Sequence[str] | None = None,
    regions: Mapping[str, Sequence[str]] | None = None,
    refit: bool = True,
    groups: Any = None,
    average_test: bool = True,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> PartialReconstructions:
    """Paint what was seen from all channels, and from each region of the head alone.

    Parameters
    ----------
    %(reconstructor)s
    %(X)s
    %(cv)s
    %(stimuli)s
    %(regions)s
    refit : bool
        Whether a reconstructor is trained for each set of channels: what those *hold*. False trains once, on all, and
        hides the other channels of the test epochs under the mean of the training epochs.
    %(groups)s
    %(average_test)s
    %(interval)s
    %(running)s

    Returns
    -------
    PartialReconstructions
        Pictures of all channels (``region`` "all") and of each region, and a table of their scores.

    Raises
    ------
    ValueError, TypeError
        If the data or a parameter is not usable, or channels have no names.
    KeyError
        If a stimulus is in no test set, or has no picture.

    See Also
    --------
    region_importance : Accuracy of retrieval from the same regions, and without each.
    reconstruct_over_time : From windows of time; its notes tell of the scores.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024, section 3.5
    and figure 8c.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EEGImageReconstructor, EpochsView
    >>> from skeegclip.datasets import make_things_like
    >>> from skeegclip.generation import LinearGenerator
    >>> from skeegclip.inspection import reconstruct_by_region
    >>> from skeegclip.model_selection import WithinSubject
    >>> data = make_things_like(n_train_concepts=60, n_test_concepts=20, sfreq=50, snr=4, random_state=0)
    >>> painter = EEGImageReconstructor(
    ...     Ridge(1e4), targets=data.image_embeddings, images=data.images, generator=LinearGenerator(size=16)
    ... )
    >>> tests = sorted(set(data.y[data.split == "test"]))
    >>> view = EpochsView.from_arrays(data.X, stimulus=data.y, info=data.info)
    >>> given = {"back": ["O1", "Oz", "O2"], "front": ["Fp1", "AF3", "AF4"]}
    >>> found = reconstruct_by_region(painter, view, cv=WithinSubject(test_stimuli=tests), regions=given)
    >>> scores = found.table.set_index("region")["two-way"]
    >>> bool(scores["back"] > scores["front"])
    True
    """
    problem = painting_problem(reconstructor, X, cv, groups, average_test, interval, random_state)
    sets = {"all": list(range(problem.task.X.shape[1])), **channels_of_regions(regions, problem)}
    parts = [{"channels": channels} for channels in sets.values()]
    what = {"region": list(sets), "n_channels": [len(channels) for channels in sets.values()]}
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    return reconstructions(problem, stimuli, parts, what, refit, interval, todo)
