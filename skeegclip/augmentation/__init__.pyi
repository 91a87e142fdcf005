from .moving_average import MovingAverage as MovingAverage

__all__ = ["MovingAverage"]
