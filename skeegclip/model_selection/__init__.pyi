from ._evaluate import evaluate as evaluate
from .audit import SplitAudit as SplitAudit
from .audit import audit_split as audit_split
from .leaks import LeakWarning as LeakWarning
from .published import published_figures as published_figures
from .report import EvaluationReport as EvaluationReport
from .splitters import ConceptKFold as ConceptKFold
from .splitters import LeaveOneSessionOut as LeaveOneSessionOut
from .splitters import LeaveOneSubjectOut as LeaveOneSubjectOut
from .splitters import WithinSubject as WithinSubject

__all__ = [
    "ConceptKFold",
    "EvaluationReport",
    "LeakWarning",
    "LeaveOneSessionOut",
    "LeaveOneSubjectOut",
    "SplitAudit",
    "WithinSubject",
    "audit_split",
    "evaluate",
    "published_figures",
]
