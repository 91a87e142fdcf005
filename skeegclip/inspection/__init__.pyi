from .calibration import calibration_curve as calibration_curve
from .dimensions import DimensionReport as DimensionReport
from .dimensions import dimension_correlations as dimension_correlations
from .dimensions import dimensions_over_time as dimensions_over_time
from .reconstruction import reconstruct_by_region as reconstruct_by_region
from .reconstruction import reconstruct_over_time as reconstruct_over_time
from .repetitions import repetition_curve as repetition_curve
from .results import Generalization as Generalization
from .results import PartialReconstructions as PartialReconstructions
from .results import TimeCourse as TimeCourse
from .space import channel_importance as channel_importance
from .space import region_importance as region_importance
from .time import temporal_generalization as temporal_generalization
from .time import time_resolved as time_resolved

__all__ = [
    "DimensionReport",
    "Generalization",
    "PartialReconstructions",
    "TimeCourse",
    "calibration_curve",
    "channel_importance",
    "dimension_correlations",
    "dimensions_over_time",
    "reconstruct_by_region",
    "reconstruct_over_time",
    "region_importance",
    "repetition_curve",
    "temporal_generalization",
    "time_resolved",
]
