from .atm import ATM as ATM
from .atm_e import ATME as ATME
from .eeg_project import EEGProject as EEGProject
from .meta_eeg import MetaEEG as MetaEEG
from .mlp import MLP as MLP
from .nice import NICE as NICE
from .registry import get_net as get_net
from .registry import list_nets as list_nets

__all__ = ["ATM", "ATME", "MLP", "NICE", "EEGProject", "MetaEEG", "get_net", "list_nets"]
