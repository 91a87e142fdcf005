from .bootstrap import bootstrap_interval as bootstrap_interval
from .confusion import category_confusion as category_confusion
from .ranking import chance_level as chance_level
from .ranking import n_way_accuracy as n_way_accuracy
from .ranking import n_way_probability as n_way_probability
from .ranking import ranks as ranks
from .ranking import top_k_accuracy as top_k_accuracy
from .reconstruction import reconstruction_scores as reconstruction_scores
from .scorers import make_retrieval_scorer as make_retrieval_scorer
from .scorers import retrieval_top1 as retrieval_top1
from .scorers import retrieval_top5 as retrieval_top5
from .similarity import cosine_similarity as cosine_similarity
from .similarity import csls as csls
from .similarity import inverted_softmax as inverted_softmax
from .similarity import sinkhorn as sinkhorn
from .table import n_way_table as n_way_table

__all__ = [
    "bootstrap_interval",
    "category_confusion",
    "chance_level",
    "cosine_similarity",
    "csls",
    "inverted_softmax",
    "make_retrieval_scorer",
    "n_way_accuracy",
    "n_way_probability",
    "n_way_table",
    "ranks",
    "reconstruction_scores",
    "retrieval_top1",
    "retrieval_top5",
    "sinkhorn",
    "top_k_accuracy",
]
