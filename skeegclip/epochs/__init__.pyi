from .view import EpochsView as EpochsView

__all__ = ["EpochsView"]
