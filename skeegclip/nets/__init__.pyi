from .atm import ATM as ATM
from .eeg_project import EEGProject as EEGProject
from .mlp import MLP as MLP
from .nice import NICE as NICE
from .registry import get_net as get_net
from .registry import list_nets as list_nets

__all__ = ["ATM", "MLP", "NICE", "EEGProject", "get_net", "list_nets"]
