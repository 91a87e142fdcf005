"""What the parameters are that all analyses share."""

from .._utils.docs import with_texts

_TEXTS = {
    "estimator": """
estimator : estimator
    What :func:`~skeegclip.evaluate` takes: an :class:`~skeegclip.ImageRetriever`, an encoder, a classifier, or a
    pipeline that ends in one. Where it is trained once for all (``refit=False``) it may be frozen.
""",
    "reconstructor": """
reconstructor : EEGImageReconstructor | Pipeline
    With `images`; or a pipeline that ends in one. With ``refit=False`` it may be frozen.
""",
    "X": """
X : EpochsView | Epochs
    All epochs, with what is known of them: stimuli (labels, for classifiers without targets), people, concepts,
    channels, times. A view stays lazy, Epochs become one in memory; :meth:`EpochsView.from_arrays
    <skeegclip.EpochsView.from_arrays>` makes one of arrays.
""",
    "cv": """
cv : splitter | iterable of (train, test)
    Folds, such as :class:`~skeegclip.model_selection.WithinSubject`; ``[(train, test)]`` for one split.
""",
    "mode": """
mode : {"growing", "sliding"}
    Windows from the first sample to ever later ones, or windows of one width.
""",
    "width": """
width : float
    Width of a window (of the first one, if growing) in seconds.
""",
    "step": """
step : float | None
    Seconds from one window to the next; None is half the width.
""",
    "regions": """
regions : mapping of str to sequence of str | None
    Region -> names of its channels. None takes the five of :func:`skeegclip.epochs.regions`, without empty ones.
""",
    "stimuli": """
stimuli : sequence of str | None
    Test stimuli to paint. None paints all, which takes time and memory where pictures are large.
""",
    "groups": """
groups : array-like, shape (n_epochs,) | None
    Groups for `cv`. None hands it the subjects (the concepts, if it is a ``ConceptKFold``).
""",
    "targets": """
targets : EmbeddingTable | None
    Vectors of the stimuli for an estimator that has none of its own.
""",
    "average_test": """
average_test : bool
    Whether the test epochs of one stimulus and person are averaged first.
""",
    "k": """
k : int
    A hit is the true item among the k best.
""",
    "interval": """
interval : {"stimulus", "subject"}
    What varies: intervals speak of other stimuli, or of other people.
""",
    "running": """
n_jobs : int | None
    Trainings at the same time, as in joblib; inside ``joblib.parallel_config("dask")`` on dask's workers.
verbose : int
    1 shows a progress bar.
folder : path-like | None
    Where finished trainings are kept: what was interrupted goes on from there. None keeps nothing.
random_state : int | RandomState | Generator | None
    Seed of the estimators, of the bootstrap and of the permutations.
""",
}

shared_texts = with_texts(_TEXTS)
