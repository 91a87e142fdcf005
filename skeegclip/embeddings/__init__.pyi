from .clip_embedder import CLIPEmbedder as CLIPEmbedder
from .codes import class_codes as class_codes
from .image_embedder import ImageEmbedder as ImageEmbedder
from .image_table import ImageTable as ImageTable
from .join import join_tables as join_tables
from .patch_tokens import load_patch_tokens as load_patch_tokens
from .table import EmbeddingTable as EmbeddingTable

__all__ = [
    "CLIPEmbedder",
    "EmbeddingTable",
    "ImageEmbedder",
    "ImageTable",
    "class_codes",
    "join_tables",
    "load_patch_tokens",
]
