from ._painting import GenerationError as GenerationError
from .generators.linear import LinearGenerator as LinearGenerator
from .generators.nearest import NearestImageGenerator as NearestImageGenerator
from .generators.sdxl import SDXLGenerator as SDXLGenerator
from .reconstructor import EEGImageReconstructor as EEGImageReconstructor

__all__ = [
    "EEGImageReconstructor",
    "GenerationError",
    "LinearGenerator",
    "NearestImageGenerator",
    "SDXLGenerator",
]
