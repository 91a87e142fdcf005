"""What can be painted from a part of the epochs: pictures over growing windows, and by region of the head."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._evaluation.cuts import windows
from .._utils.params import check_option
from ._partial import painting_problem, reconstructions
from .results import PartialReconstructions
from .space import _members, _names
from .time import _times

if TYPE_CHECKING:
    import mne


def reconstruct_over_time(
    reconstructor: Any,
    X: Any,
    y: Any = None,
    *,
    cv: Any,
    stimuli: Sequence[str] | None = None,
    mode: str = "growing",
    width: float = 0.1,
    step: float | None = None,
    refit: bool = True,
    subject: Any = None,
    groups: Any = None,
    concept: Any = None,
    average_test: bool = True,
    info: mne.Info | None = None,
    sfreq: float | None = None,
    tmin: float = 0.0,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> PartialReconstructions:
    """Paint what was seen from windows that grow, or slide, over the epochs.

    Parameters
    ----------
    reconstructor : EEGImageReconstructor | Pipeline
        With `images`; or a pipeline that ends in one. With ``refit=False`` it may be frozen.
    X : array-like, shape (n_epochs, n_chans, n_times) | EpochsView | Epochs
        All epochs. Views stay lazy: each window is cropped as it is read; Epochs become views in memory.
    y : array-like of str, shape (n_epochs,) | None
        Stimulus ids. None takes the stimuli that X carries.
    cv : splitter | iterable of (train, test)
        Folds, such as :class:`~skeegclip.model_selection.WithinSubject`; ``[(train, test)]`` for one split.
    stimuli : sequence of str | None
        Test stimuli to paint. None paints all, which takes time and memory where pictures are large.
    mode : {"growing", "sliding"}
        Windows from the first sample to ever later ones, or windows of one width.
    width : float
        Width of a window (of the first one, if growing) in seconds.
    step : float | None
        Seconds from one window to the next; None is half the width.
    refit : bool
        Whether each window has a reconstructor of its own: what *can be* painted from it. False trains once, on whole
        epochs, and hides from the test epochs all but the window (under the mean of the training epochs).
    subject : array-like of str, shape (n_epochs,) | None
        Person, where X does not carry it.
    groups : array-like, shape (n_epochs,) | None
        Groups for `cv`. None hands it the subjects (the concepts, if it is a ``ConceptKFold``).
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus or epoch, for the table of the queries.
    average_test : bool
        Whether the test epochs of one stimulus and person are averaged first.
    info : Info | None
        Channels of an array, in its order.
    sfreq : float | None
        Sampling rate of an array in Hz, where there is no `info`.
    tmin : float
        Time of the first sample of an array, in seconds from picture onset.
    interval : {"stimulus", "subject"}
        What the bootstrap draws: intervals speak of other stimuli, or of other people.
    n_jobs : int | None
        Trainings at the same time, as in joblib.
    verbose : int
        1 shows a progress bar.
    folder : path-like | None
        Where the pictures of finished trainings are kept: what was interrupted goes on from there. None keeps nothing.
    random_state : int | RandomState | Generator | None
        Seed of all parts of the reconstructor, the same for every window, and of the bootstrap.

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
    >>> from skeegclip import EEGImageReconstructor
    >>> from skeegclip.datasets import make_things_like
    >>> from skeegclip.inspection import reconstruct_over_time
    >>> from skeegclip.model_selection import WithinSubject
    >>> data = make_things_like(n_train_concepts=60, n_test_concepts=20, sfreq=50, tmin=-0.2, snr=20, random_state=0)
    >>> painter = EEGImageReconstructor(
    ...     Ridge(1e4), targets=data.image_embeddings, images=data.images, generator="linear"
    ... )
    >>> tests = sorted(set(data.y[data.split == "test"]))
    >>> found = reconstruct_over_time(
    ...     painter, data.X, data.y, cv=WithinSubject(test_stimuli=tests), step=0.5, info=data.info, tmin=-0.2
    ... )
    >>> found.pictures.shape
    (2, 20, 64, 64, 3)
    >>> (found.table["two-way"] > 0.65).tolist()  # before the picture comes, and with 0.4 s of it
    [False, True]
    """
    check_option("mode", mode, ["growing", "sliding"])
    problem = painting_problem(
        reconstructor,
        X,
        y,
        cv=cv,
        subject=subject,
        groups=groups,
        concept=concept,
        average_test=average_test,
        info=info,
        sfreq=sfreq,
        tmin=tmin,
        interval=interval,
        random_state=random_state,
    )
    times = _times(problem)
    spans = windows(times, mode, width, step)
    parts = [{"first": int(first), "stop": int(stop)} for first, stop in spans]
    what = {"start": times[spans[:, 0]], "stop": times[spans[:, 1] - 1]}
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    return reconstructions(problem, stimuli, parts, what, refit, interval, todo)


def reconstruct_by_region(
    reconstructor: Any,
    X: Any,
    y: Any = None,
    *,
    cv: Any,
    stimuli: Sequence[str] | None = None,
    regions: Mapping[str, Sequence[str]] | None = None,
    refit: bool = True,
    subject: Any = None,
    groups: Any = None,
    concept: Any = None,
    average_test: bool = True,
    info: mne.Info | None = None,
    interval: str = "stimulus",
    n_jobs: int | None = None,
    verbose: int = 0,
    folder: str | os.PathLike | None = None,
    random_state: Any = 0,
) -> PartialReconstructions:
    """Paint what was seen from all channels, and from each region of the head alone.

    Parameters
    ----------
    reconstructor : EEGImageReconstructor | Pipeline
        With `images`; or a pipeline that ends in one. With ``refit=False`` it may be frozen.
    X : array-like, shape (n_epochs, n_chans, n_times) | EpochsView | Epochs
        All epochs. Views stay lazy: channels are picked as they are read; Epochs become views in memory.
    y : array-like of str, shape (n_epochs,) | None
        Stimulus ids. None takes the stimuli that X carries.
    cv : splitter | iterable of (train, test)
        Folds, such as :class:`~skeegclip.model_selection.WithinSubject`; ``[(train, test)]`` for one split.
    stimuli : sequence of str | None
        Test stimuli to paint. None paints all, which takes time and memory where pictures are large.
    regions : mapping of str to sequence of str | None
        Region -> names of its channels. None takes the five of :func:`skeegclip.epochs.regions`, without empty ones.
    refit : bool
        Whether a reconstructor is trained for each set of channels: what those *hold*. False trains once, on all, and
        hides the other channels of the test epochs under the mean of the training epochs.
    subject : array-like of str, shape (n_epochs,) | None
        Person, where X does not carry it.
    groups : array-like, shape (n_epochs,) | None
        Groups for `cv`. None hands it the subjects (the concepts, if it is a ``ConceptKFold``).
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus or epoch, for the table of the queries.
    average_test : bool
        Whether the test epochs of one stimulus and person are averaged first.
    info : Info | None
        Channels of an array, in its order; views and Epochs carry theirs.
    interval : {"stimulus", "subject"}
        What the bootstrap draws: intervals speak of other stimuli, or of other people.
    n_jobs : int | None
        Trainings at the same time, as in joblib.
    verbose : int
        1 shows a progress bar.
    folder : path-like | None
        Where the pictures of finished trainings are kept: what was interrupted goes on from there. None keeps nothing.
    random_state : int | RandomState | Generator | None
        Seed of all parts of the reconstructor, the same for every region, and of the bootstrap.

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
    >>> from skeegclip import EEGImageReconstructor
    >>> from skeegclip.datasets import make_things_like
    >>> from skeegclip.inspection import reconstruct_by_region
    >>> from skeegclip.model_selection import WithinSubject
    >>> data = make_things_like(n_train_concepts=60, n_test_concepts=20, sfreq=50, snr=4, random_state=0)
    >>> painter = EEGImageReconstructor(
    ...     Ridge(1e4), targets=data.image_embeddings, images=data.images, generator="linear"
    ... )
    >>> tests = sorted(set(data.y[data.split == "test"]))
    >>> found = reconstruct_by_region(
    ...     painter, data.X, data.y, cv=WithinSubject(test_stimuli=tests), info=data.info,
    ...     regions={"back": ["O1", "Oz", "O2"], "front": ["Fp1", "AF3", "AF4"]},
    ... )
    >>> scores = found.table.set_index("region")["two-way"]
    >>> bool(scores["back"] > scores["front"])
    True
    """
    problem = painting_problem(
        reconstructor,
        X,
        y,
        cv=cv,
        subject=subject,
        groups=groups,
        concept=concept,
        average_test=average_test,
        info=info,
        sfreq=None,
        tmin=0.0,
        interval=interval,
        random_state=random_state,
    )
    names = _names(problem)
    members = {"all": names, **_members(regions, problem, names)}
    place = {name: position for position, name in enumerate(names)}
    parts = [{"channels": [place[name] for name in channels]} for channels in members.values()]
    what = {"region": list(members), "n_channels": [len(channels) for channels in members.values()]}
    todo: dict[str, Any] = {"n_jobs": n_jobs, "verbose": verbose, "folder": folder}
    return reconstructions(problem, stimuli, parts, what, refit, interval, todo)
