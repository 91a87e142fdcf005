from .regions import regions as regions
from .store import EpochsStore as EpochsStore
from .view import EpochsView as EpochsView

__all__ = ["EpochsStore", "EpochsView", "regions"]
