from . import contest as contest
from . import datasets as datasets
from . import embeddings as embeddings
from . import epochs as epochs
from . import generation as generation
from . import inspection as inspection
from . import losses as losses
from . import metrics as metrics
from . import model_selection as model_selection
from . import nets as nets
from . import plotting as plotting
from . import preprocessing as preprocessing
from . import recipes as recipes
from ._utils.saving import load as load
from ._utils.saving import save as save
from .decoders.averaging import AveragedTraining as AveragedTraining
from .decoders.dimensions import DimensionDecoder as DimensionDecoder
from .decoders.encoder import EEGEncoder as EEGEncoder
from .decoders.ensemble import EnsembleEncoder as EnsembleEncoder
from .decoders.inverted_encoding import InvertedEncoding as InvertedEncoding
from .decoders.lambda_path import LambdaPath as LambdaPath
from .decoders.online import OnlineDecoder as OnlineDecoder
from .decoders.online import OnlineResult as OnlineResult
from .decoders.reference import load_reference_checkpoint as load_reference_checkpoint
from .decoders.retrieval import ImageRetriever as ImageRetriever
from .decoders.whitening import SubjectWhitening as SubjectWhitening
from .decoders.zero_shot import ZeroShotClassifier as ZeroShotClassifier
from .embeddings import CLIPEmbedder as CLIPEmbedder
from .embeddings import EmbeddingTable as EmbeddingTable
from .embeddings import ImageEmbedder as ImageEmbedder
from .embeddings import ImageTable as ImageTable
from .epochs import EpochsStore as EpochsStore
from .epochs import EpochsView as EpochsView
from .generation import DiffusionPrior as DiffusionPrior
from .generation import EEGCaptioner as EEGCaptioner
from .generation import EEGImageReconstructor as EEGImageReconstructor
from .generation import LowLevelDecoder as LowLevelDecoder
from .model_selection import evaluate as evaluate

__version__: str

__all__ = [
    "AveragedTraining",
    "CLIPEmbedder",
    "DiffusionPrior",
    "DimensionDecoder",
    "EEGCaptioner",
    "EEGEncoder",
    "EEGImageReconstructor",
    "EmbeddingTable",
    "EnsembleEncoder",
    "EpochsStore",
    "EpochsView",
    "ImageEmbedder",
    "ImageRetriever",
    "ImageTable",
    "InvertedEncoding",
    "LambdaPath",
    "LowLevelDecoder",
    "OnlineDecoder",
    "OnlineResult",
    "SubjectWhitening",
    "ZeroShotClassifier",
    "contest",
    "datasets",
    "embeddings",
    "epochs",
    "evaluate",
    "generation",
    "inspection",
    "load",
    "load_reference_checkpoint",
    "losses",
    "metrics",
    "model_selection",
    "nets",
    "plotting",
    "preprocessing",
    "recipes",
    "save",
]
