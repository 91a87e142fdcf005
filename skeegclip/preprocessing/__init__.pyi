from .averaging import average_repetitions as average_repetitions
from .channels import PickChannels as PickChannels
from .mvnn import MVNN as MVNN
from .scaler import EpochScaler as EpochScaler
from .things_eeg2 import preprocess_things_eeg2 as preprocess_things_eeg2

__all__ = ["MVNN", "EpochScaler", "PickChannels", "average_repetitions", "preprocess_things_eeg2"]
