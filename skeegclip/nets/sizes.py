"""Sizes of the input and of the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from .._utils.telling import warn_once


def resolve_sizes(
    n_outputs: int | None, n_chans: int | None, n_times: int | None, chs_info: Sequence[Any] | None
) -> tuple[int, int, int]:
    """Fill in and check the sizes that every network needs.

    Parameters
    ----------
    n_outputs, n_chans, n_times : int or None
        Sizes as the user gave them.
    chs_info : sequence of dict or None
        One entry a channel; its length stands in for `n_chans`.

    Returns
    -------
    tuple of int
        `(n_outputs, n_chans, n_times)`.

    Raises
    ------
    ValueError
        If a size is missing, is not a positive whole number, or if `n_chans` and `chs_info` disagree.

    Examples
    --------
    >>> resolve_sizes(8, None, 100, [{"ch_name": "O1"}, {"ch_name": "O2"}])
    (8, 2, 100)
    """
    if chs_info is not None:
        if n_chans is not None and n_chans != len(chs_info):
            raise ValueError(
                f"n_chans={n_chans}, but chs_info lists {len(chs_info)} channels; give one of the two."
            )
        n_chans = len(chs_info)
    sizes = {"n_outputs": n_outputs, "n_chans": n_chans, "n_times": n_times}
    missing = [name for name, size in sizes.items() if size is None]
    if missing:
        hint = " (n_chans may also come from chs_info)" if "n_chans" in missing else ""
        raise ValueError(f"The network needs {', '.join(missing)}{hint}; got None.")
    check_counts(**sizes)
    return int(n_outputs), int(n_chans), int(n_times)  # type: ignore[arg-type]


def check_counts(minimum: int = 1, /, **counts: Any) -> None:
    """Raise a ValueError that names the first argument that is not a whole number of at least `minimum`."""
    for name, count in counts.items():
        if not isinstance(count, Integral) or count < minimum:
            raise ValueError(f"{name} must be a whole number of at least {minimum}, got {count!r}.")


def shrink_kernels(n_times: int, kernel_length: int, pool_length: int) -> tuple[int, int]:
    """Shorten a convolution and the pooling after it so that one window of both fits into `n_times`.

    Both keep their proportion. Lengths that fit are returned unchanged.

    Parameters
    ----------
    n_times : int
        Number of samples there are.
    kernel_length, pool_length : int
        Lengths in samples.

    Returns
    -------
    tuple of int
        `(kernel_length, pool_length)`.

    Examples
    --------
    >>> shrink_kernels(250, 25, 51), shrink_kernels(30, 25, 51), shrink_kernels(1, 25, 51)
    ((25, 51), (10, 21), (1, 1))
    """
    needed = kernel_length + pool_length - 1
    if n_times >= needed:
        return kernel_length, pool_length
    kernel_length = max(1, n_times * kernel_length // needed)
    return kernel_length, min(pool_length, n_times - kernel_length + 1)


def warn_shrunk(
    n_times: int, wanted: dict[str, Any], used: dict[str, Any], what: str = "Epochs of n_times"
) -> None:
    """Say in one UserWarning, once, which lengths had to give way to a short epoch; silent where none had to."""
    changed = [f"{name} {wanted[name]} -> {used[name]}" for name in wanted if wanted[name] != used[name]]
    if changed:
        warn_once(
            f"{what}={n_times} are too short for the network's lengths in samples; "
            f"changed {', '.join(changed)}.",
            stacklevel=3,
        )
