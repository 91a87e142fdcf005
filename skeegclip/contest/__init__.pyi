from .submission import export_submission as export_submission

__all__ = ["export_submission"]
