"""What no test of a figure may leave behind."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _settings_and_figures_of_pyplot_stay():
    """Whatever is drawn: matplotlib's settings are as before, and pyplot holds no figure."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
