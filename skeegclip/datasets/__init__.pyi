from .simulate import make_things_like as make_things_like

__all__ = ["make_things_like"]
