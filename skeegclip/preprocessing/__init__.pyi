from .aligner import SubjectAligner as SubjectAligner
from .averaging import average_repetitions as average_repetitions
from .channels import PickChannels as PickChannels
from .mvnn import MVNN as MVNN
from .scaler import EpochScaler as EpochScaler

__all__ = ["MVNN", "EpochScaler", "PickChannels", "SubjectAligner", "average_repetitions"]
