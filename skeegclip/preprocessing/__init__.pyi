from .aligner import SubjectAligner as SubjectAligner
from .averaging import average_repetitions as average_repetitions
from .channels import PickChannels as PickChannels
from .interpolation import InterpolateChannels as InterpolateChannels
from .mvnn import MVNN as MVNN
from .scaler import EpochScaler as EpochScaler

__all__ = [
    "MVNN",
    "EpochScaler",
    "InterpolateChannels",
    "PickChannels",
    "SubjectAligner",
    "average_repetitions",
]
