from .generators.linear import LinearGenerator as LinearGenerator
from .generators.nearest import NearestImageGenerator as NearestImageGenerator
from .generators.sdxl import SDXLGenerator as SDXLGenerator

__all__ = [
    "LinearGenerator",
    "NearestImageGenerator",
    "SDXLGenerator",
]
