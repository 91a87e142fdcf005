"""The warning that evaluations give of leaks."""

from .._utils.leaks import LeakWarning as LeakWarning
