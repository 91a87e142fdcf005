"""Figures: one a function, for the width of a column.

Every function draws on the axes (or figure) that it is given, or on a new one, and returns it. No function shows
the figure or changes matplotlib's settings. A notebook shows a new figure below its cell, and ``plt.show()`` shows it
where pyplot is imported and has a screen; in a script without one, save it with ``ax.figure.savefig(...)``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
