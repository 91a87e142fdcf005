"""A process that has torch and numpy only, as a contest may."""

# Run as ``python -c SCRIPT folder epochs.npy ...``; predictions take the place of the epochs.
SCRIPT = """
import importlib.metadata, importlib.util, json, re, sys

def needed(name, found):
    if name not in found:
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            lines = []
        for line in lines:
            if "extra ==" not in line:
                needed(re.match(r"[A-Za-z0-9._-]+", line)[0], found)
    return found

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

there = set(map(plain, needed("torch", set()) | {"numpy"}))
owners = importlib.metadata.packages_distributions()
allowed = set(sys.stdlib_module_names) | {
    module for module, names in owners.items() if there & set(map(plain, names))
}

finders = list(sys.meta_path)

class Bare:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None and name not in allowed and not name.startswith("_sysconfigdata"):
            return None
        found = (finder.find_spec(name, path, target) for finder in finders)
        return next((spec for spec in found if spec is not None), None)

sys.meta_path[:] = [Bare]
folder, *paths = sys.argv[1:]
assert not set(sys.modules) & {"skeegclip", "sklearn"}
spec = importlib.util.spec_from_file_location("submission", folder + "/submission.py")
submission = importlib.util.module_from_spec(spec)
spec.loader.exec_module(submission)
import numpy as np
import torch
with open(folder + "/facts.json", encoding="utf-8") as file:
    meta = json.load(file)
model = submission.Solver().load_model({**meta, "device": "cpu", "submission_dir": folder})
for path in paths:
    np.save(path, model(torch.from_numpy(np.load(path))).numpy())
"""
