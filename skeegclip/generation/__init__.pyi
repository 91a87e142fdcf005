from .prior import DiffusionPrior as DiffusionPrior

__all__ = ["DiffusionPrior"]
