from .attention import plot_attention as plot_attention
from .bars import plot_accuracy_bars as plot_accuracy_bars
from .n_way import plot_n_way as plot_n_way
from .reconstruction import plot_guidance_curve as plot_guidance_curve
from .reconstruction import plot_reconstruction_grid as plot_reconstruction_grid
from .reconstruction import plot_similarity_histograms as plot_similarity_histograms
from .retrieval import plot_retrieval_grid as plot_retrieval_grid
from .similarity import plot_similarity_matrix as plot_similarity_matrix
from .training import plot_training_curve as plot_training_curve

__all__ = [
    "plot_accuracy_bars",
    "plot_attention",
    "plot_guidance_curve",
    "plot_n_way",
    "plot_reconstruction_grid",
    "plot_retrieval_grid",
    "plot_similarity_histograms",
    "plot_similarity_matrix",
    "plot_training_curve",
]
