from .clip import ClipLoss as ClipLoss
from .mixed import MixedLoss as MixedLoss
from .scaled import ScaledMAELoss as ScaledMAELoss
from .scaled import ScaledMSELoss as ScaledMSELoss

__all__ = ["ClipLoss", "MixedLoss", "ScaledMAELoss", "ScaledMSELoss"]
