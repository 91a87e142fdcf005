from .clip_embedder import CLIPEmbedder as CLIPEmbedder
from .codes import class_codes as class_codes
from .image_table import ImageTable as ImageTable
from .patch_tokens import load_patch_tokens as load_patch_tokens
from .table import EmbeddingTable as EmbeddingTable

__all__ = ["CLIPEmbedder", "EmbeddingTable", "ImageTable", "class_codes", "load_patch_tokens"]
