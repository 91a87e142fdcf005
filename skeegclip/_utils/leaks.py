"""The warning of leaks."""


class LeakWarning(UserWarning):
    """Something of the test set was trained on, so that a score says nothing about what is new.

    :func:`skeegclip.evaluate` and the analyses of ``skeegclip.inspection`` give it for flags at level "leak". Turn it
    into an error with ``warnings.simplefilter("error", LeakWarning)``.

    Examples
    --------
    >>> import warnings
    >>> from skeegclip.model_selection import LeakWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", LeakWarning)  # inside, an evaluation that leaks ends with an error
    """
