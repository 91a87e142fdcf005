from .clip import ClipLoss as ClipLoss
from .mae import ScaledMAELoss as ScaledMAELoss
from .mixed import MixedLoss as MixedLoss
from .mse import ScaledMSELoss as ScaledMSELoss

__all__ = ["ClipLoss", "MixedLoss", "ScaledMAELoss", "ScaledMSELoss"]
