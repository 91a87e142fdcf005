"""What is missing among ids and numbers, and is never taken for a value."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA, which cannot be compared."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, (float, np.floating)) and value != value or type(value).__name__ == "NaTType"


def id_array(ids: Any) -> np.ndarray:
    """Ids as an array; of texts among other things one of objects, for numpy would write None and NaN as texts."""
    if isinstance(ids, (list, tuple)) and len({isinstance(one, str) for one in ids}) > 1:
        array = np.empty(len(ids), dtype=object)
        array[:] = ids
        return array
    return np.asarray(ids)


def refuse_masked(values: Any, *, name: str) -> None:
    """Refuse a masked array of which something is masked: no estimator and no metric looks at a mask."""
    if n_masked := int(np.ma.count_masked(values)) if isinstance(values, np.ma.MaskedArray) else 0:
        raise ValueError(
            f"{name} contains NaN: {n_masked} values of this masked array are masked, and nothing here looks at a mask."
            " Drop or repair these rows first, or fill them: array.filled(...)."
        )


def refuse_missing(values: Any, *, name: str) -> None:
    """Refuse ids of which some are missing, in an array of objects; NaN in numbers is found elsewhere."""
    refuse_masked(values, name=name)
    array = id_array(values)
    objects = array.tolist() if array.dtype == object and array.ndim == 1 else []
    if missing := [row for row, value in enumerate(objects) if is_missing(value)]:
        raise ValueError(
            f"{name} is missing (None or NaN) in {len(missing)} rows (first: row {missing[0]}). Drop these rows, or"
            " name what was shown."
        )
