from ._contest import contest as contest
from ._finetune import finetune as finetune
from ._later import brain_hive as brain_hive
from ._later import enigma as enigma
from ._later import samga as samga
from ._later import shallow_alignment as shallow_alignment
from ._linear import linear as linear
from ._paper import atm_paper as atm_paper
from ._paper import nice as nice
from ._paper import paper as paper
from ._strong import strong as strong

__all__ = [
    "atm_paper",
    "brain_hive",
    "contest",
    "enigma",
    "finetune",
    "linear",
    "nice",
    "paper",
    "samga",
    "shallow_alignment",
    "strong",
]
