from .codes import class_codes as class_codes
from .image_table import ImageTable as ImageTable
from .join import join_tables as join_tables
from .table import EmbeddingTable as EmbeddingTable

__all__ = ["EmbeddingTable", "ImageTable", "class_codes", "join_tables"]
