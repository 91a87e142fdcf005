from ._paper import atm_paper as atm_paper
from ._paper import nice as nice
from ._paper import paper as paper
from ._strong import strong as strong

__all__ = ["atm_paper", "nice", "paper", "strong"]
