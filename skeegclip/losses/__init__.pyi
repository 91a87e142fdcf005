from .clip import ClipLoss as ClipLoss
from .mixed import MixedLoss as MixedLoss
from .mixing import LayerMixing as LayerMixing
from .mmd import MMDLoss as MMDLoss
from .scaled import ScaledMAELoss as ScaledMAELoss
from .scaled import ScaledMSELoss as ScaledMSELoss

__all__ = ["ClipLoss", "LayerMixing", "MMDLoss", "MixedLoss", "ScaledMAELoss", "ScaledMSELoss"]
