"""The diffusion prior: from the embedding of an epoch to that of a picture."""

from .diffusion_prior import DiffusionPrior as DiffusionPrior
