from ._painting import GenerationError as GenerationError
from .analysis import generated_retrieval as generated_retrieval
from .analysis import guidance_curve as guidance_curve
from .analysis import similarity_distributions as similarity_distributions
from .captions.captioner import EEGCaptioner as EEGCaptioner
from .generators.linear import LinearGenerator as LinearGenerator
from .generators.nearest import NearestImageGenerator as NearestImageGenerator
from .generators.sdxl import SDXLGenerator as SDXLGenerator
from .low_level.decoder import LowLevelDecoder as LowLevelDecoder
from .prior.diffusion_prior import DiffusionPrior as DiffusionPrior
from .reconstructor import EEGImageReconstructor as EEGImageReconstructor

__all__ = [
    "DiffusionPrior",
    "EEGCaptioner",
    "EEGImageReconstructor",
    "GenerationError",
    "LinearGenerator",
    "LowLevelDecoder",
    "NearestImageGenerator",
    "SDXLGenerator",
    "generated_retrieval",
    "guidance_curve",
    "similarity_distributions",
]
