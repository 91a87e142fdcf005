"""Parameters of estimators that are dicts: not in `params`, which the networks need, and they need torch alone."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator


class DictParams(BaseEstimator):
    """Base of estimators with parameters that are dicts, so that a grid can name one entry: ``net_params__dropout``."""

    _dict_params: ClassVar[tuple[str, ...]] = ("net_params", "optimizer_params")

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also single entries of those that are dicts.

        Parameters
        ----------
        **params : object
            Names as in `get_params`; ``net_params__dropout`` sets the entry "dropout" of `net_params` and keeps the
            others.

        Returns
        -------
        estimator
            This estimator.
        """
        for name in self._dict_params:
            entries = {key: params.pop(key) for key in list(params) if key.startswith(f"{name}__")}
            if entries:
                # A new dict: the old one is the user's.
                known = params.get(name, getattr(self, name, None)) or {}
                params[name] = {**known, **{key.partition("__")[2]: value for key, value in entries.items()}}
        return super().set_params(**params)
