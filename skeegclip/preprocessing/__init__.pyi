from .averaging import average_repetitions as average_repetitions
from .channels import PickChannels as PickChannels

__all__ = ["PickChannels", "average_repetitions"]
