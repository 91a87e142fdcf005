"""No test depends on which others ran before it in its process."""

import random

import numpy as np
import torch

GENERATORS = (
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    torch.Generator,
    random.Random,
)


def test_no_module_of_tests_has_a_generator_that_its_tests_share(request):
    shared = [
        f"{module.__name__}.{name}"
        for module in {item.module for item in request.session.items if hasattr(item, "module")}
        for name, value in vars(module).items()
        if isinstance(value, GENERATORS)
    ]
    assert shared == [], "Take the fixture `rng`, or delete a generator that made the module's data."
