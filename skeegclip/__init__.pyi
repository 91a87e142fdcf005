from . import datasets as datasets
from . import embeddings as embeddings
from . import epochs as epochs
from . import generation as generation
from . import losses as losses
from . import metrics as metrics
from . import nets as nets
from . import plotting as plotting
from . import preprocessing as preprocessing
from ._reference import load_reference_checkpoint as load_reference_checkpoint
from .embeddings import CLIPEmbedder as CLIPEmbedder
from .embeddings import EmbeddingTable as EmbeddingTable
from .embeddings import ImageTable as ImageTable
from .encoder import EEGEncoder as EEGEncoder
from .epochs import EpochsStore as EpochsStore
from .epochs import EpochsView as EpochsView
from .generation import DiffusionPrior as DiffusionPrior
from .generation import EEGImageReconstructor as EEGImageReconstructor
from .retrieval import ImageRetriever as ImageRetriever
from .zero_shot import ZeroShotClassifier as ZeroShotClassifier

__version__: str

__all__ = [
    "CLIPEmbedder",
    "DiffusionPrior",
    "EEGEncoder",
    "EEGImageReconstructor",
    "EmbeddingTable",
    "EpochsStore",
    "EpochsView",
    "ImageRetriever",
    "ImageTable",
    "ZeroShotClassifier",
    "datasets",
    "embeddings",
    "epochs",
    "generation",
    "load_reference_checkpoint",
    "losses",
    "metrics",
    "nets",
    "plotting",
    "preprocessing",
]
