from .repetitions import repetition_curve as repetition_curve
from .results import Generalization as Generalization
from .results import TimeCourse as TimeCourse
from .space import channel_importance as channel_importance
from .space import region_importance as region_importance
from .time import temporal_generalization as temporal_generalization
from .time import time_resolved as time_resolved

__all__ = [
    "Generalization",
    "TimeCourse",
    "channel_importance",
    "region_importance",
    "repetition_curve",
    "temporal_generalization",
    "time_resolved",
]
