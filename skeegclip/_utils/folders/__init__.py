"""A folder that is saved whole or not at all, believed only as far as it was checked, and never more than ours.

A saved folder holds ``skeegclip.json``, the manifest, and beside it one folder ``saved-<hex>`` with the files that the
manifest lists. A save writes a new folder of files, and then the manifest anew, in one step of the file system: a reader
finds the old state or the new one. Only what a manifest or the list inside such a folder names is ever removed.
"""

from .content import Content as Content
from .content import FolderError as FolderError
from .content import checked as checked
from .read import is_saved as is_saved
from .read import read_folder as read_folder
from .write import write_folder as write_folder
