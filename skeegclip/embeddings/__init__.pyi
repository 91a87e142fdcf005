from .codes import class_codes as class_codes
from .image_table import ImageTable as ImageTable
from .table import EmbeddingTable as EmbeddingTable

__all__ = ["EmbeddingTable", "ImageTable", "class_codes"]
