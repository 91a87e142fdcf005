from .attention import plot_attention as plot_attention
from .bars import plot_accuracy_bars as plot_accuracy_bars
from .bars import plot_encoder_comparison as plot_encoder_comparison
from .calibration import plot_calibration_curve as plot_calibration_curve
from .confusion import plot_confusion as plot_confusion
from .dimensions import plot_dimensions as plot_dimensions
from .lambda_path import plot_lambda_path as plot_lambda_path
from .n_way import plot_n_way as plot_n_way
from .parts import plot_partial_reconstructions as plot_partial_reconstructions
from .reconstruction import plot_guidance_curve as plot_guidance_curve
from .reconstruction import plot_reconstruction_grid as plot_reconstruction_grid
from .reconstruction import plot_similarity_histograms as plot_similarity_histograms
from .repetitions import plot_repetition_curve as plot_repetition_curve
from .retrieval import plot_retrieval_grid as plot_retrieval_grid
from .similarity import plot_similarity_matrix as plot_similarity_matrix
from .space import plot_importance as plot_importance
from .space import plot_region_map as plot_region_map
from .space import plot_regions as plot_regions
from .time import plot_temporal_generalization as plot_temporal_generalization
from .time import plot_time_course as plot_time_course
from .training import plot_training_curve as plot_training_curve

__all__ = [
    "plot_accuracy_bars",
    "plot_attention",
    "plot_calibration_curve",
    "plot_confusion",
    "plot_dimensions",
    "plot_encoder_comparison",
    "plot_guidance_curve",
    "plot_importance",
    "plot_lambda_path",
    "plot_n_way",
    "plot_partial_reconstructions",
    "plot_reconstruction_grid",
    "plot_region_map",
    "plot_regions",
    "plot_repetition_curve",
    "plot_retrieval_grid",
    "plot_similarity_histograms",
    "plot_similarity_matrix",
    "plot_temporal_generalization",
    "plot_time_course",
    "plot_training_curve",
]
