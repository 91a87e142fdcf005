"""Every class of the room, saved: whole or not at all, and never believed more than it was checked."""

import contextlib
import copy
import errno
import hashlib
import json
import os
import random
import signal
import warnings

import numpy as np
import pytest
import torch
from folder_faults import fault, n_steps
from safetensors.numpy import load, save
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

import skeegclip
from skeegclip import (
    DiffusionPrior,
    EEGCaptioner,
    EEGImageReconstructor,
    EmbeddingTable,
    ImageTable,
    LowLevelDecoder,
)
from skeegclip._utils.contents import to_content
from skeegclip._utils.folders import FolderError, is_saved
from skeegclip._utils.folders.manifest import sealed
from skeegclip.generation import LinearGenerator, NearestImageGenerator, SDXLGenerator

N = 20
IDS = [f"s{i:02d}" for i in range(N)]
IMAGES = ImageTable(IDS, np.random.default_rng(5).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8))
N_POINTS = 8


def data(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(N, 6))
    X = (vectors @ rng.normal(size=(6, 60)) + rng.normal(size=(N, 60))).reshape(N, 4, 15)
    return vectors, X, rng


PROBE_Z, PROBE_X = data(77)[:2]


def prior(seed, net="gaussian", **params):
    Z = data(seed)[0]
    table = EmbeddingTable(IDS, np.roll(Z, 1, axis=1), meta={"seed": seed})
    small = {"n_steps": 3, "scheduler": "ddim", "device": "cpu", "random_state": seed}
    small |= {} if net == "gaussian" else {"max_epochs": 2}
    return DiffusionPrior(targets=table, net=net, **small, **params).fit(Z, IDS)


def low_level(seed, **params):
    _, X, rng = data(seed)
    latents = rng.normal(size=(N, 4, 2, 2))
    quick = {"max_epochs": 2, "batch_size": 8, "device": "cpu", "random_state": seed}
    return LowLevelDecoder("/a/vae", **{**quick, **params}).fit(X, latents)


def reconstructor(seed):
    vectors, X, rng = data(seed)
    table = EmbeddingTable(IDS, vectors)
    captioner = EEGCaptioner("nearest", captions={name: f"{name} {seed}" for name in IDS})
    return EEGImageReconstructor(
        Ridge(seed + 1),
        targets=table,
        images=IMAGES,
        prior=DiffusionPrior(net="gaussian", n_steps=3, scheduler="ddim", device="cpu"),
        captioner=captioner,
        low_level=FrozenEstimator(low_level(seed)),
        generator=LinearGenerator(size=4),
        cross_fit=2,
        n_images=1 + seed,
        random_state=seed,
        verbose=0,
    ).fit(X, IDS)


def drawn(part):
    return part.sample(PROBE_Z, 2)


# How each is made, what it gives, and what its load must be given.
CLASSES = {
    "gaussian": (prior, drawn, {}),
    "mlp": (
        lambda s: prior(s, "mlp", net_params={"width": 8, "n_blocks": 2, "n_time_features": 4}),
        drawn,
        {},
    ),
    "unet": (
        lambda s: prior(s, "unet", net_params={"widths": (8, 4), "n_time_features": 4}),
        drawn,
        {},
    ),
    "captioner": (
        lambda s: EEGCaptioner(max_epochs=1, device="cpu", random_state=s).fit(
            data(s)[0], data(s)[2].normal(size=(N, 3, 4))
        ),
        lambda part: part.predict_tokens(PROBE_Z),
        {},
    ),
    "nearest caption": (
        lambda s: EEGCaptioner("nearest", captions={n: f"{n} {s}" for n in IDS}).fit(data(s)[0], IDS),
        lambda part: np.array(part.predict(PROBE_Z)),
        {},
    ),
    "linear": (
        lambda s: LinearGenerator(IMAGES, size=3 + s).fit(data(s)[0], IDS),
        lambda part: part.generate(PROBE_Z),
        {},
    ),
    "nearest": (
        lambda s: NearestImageGenerator(IMAGES, targets=EmbeddingTable(IDS, data(s)[0])).fit(data(s)[0], IDS),
        lambda part: part.generate(PROBE_Z),
        {"images": IMAGES},
    ),
    "sdxl": (
        lambda s: SDXLGenerator(n_steps=10 + s, negative_prompt=f"no {s}", batch_size=7),
        lambda part: np.array([str(part._settings()), part.negative_prompt]),
        {},
    ),
    "low level": (low_level, lambda part: part.predict_latents(PROBE_X), {"vae": "/a/vae"}),
    "reconstructor": (
        reconstructor,
        lambda part: np.stack([part.prior_.transform(part.embed(PROBE_X)), part.embed(PROBE_X)]),
        {"low_level__vae": "/a/vae", "images": IMAGES},
    ),
}
every_class = pytest.mark.parametrize("name", CLASSES)
# Kills and full disks strike the writer of folders, which knows no class: one small part, and one with parts in it.
two_classes = pytest.mark.parametrize(
    "name",
    [n if n in ("linear", "reconstructor") else pytest.param(n, marks=pytest.mark.slow) for n in CLASSES],
)


@pytest.fixture(scope="module")
def made():
    """Two of each class that differ in every part; made once."""
    kept = {}

    def two(name):
        if name not in kept:
            kept[name] = [CLASSES[name][0](seed) for seed in (1, 2)]
        return kept[name]

    return two


def read(name, folder, cls=None):
    given = CLASSES[name][2]
    return (skeegclip if cls is None else cls).load(folder, device="cpu", **given)


def told(content):
    """All that a content says, in JSON and bytes; a skops file is an archive with dates in it."""
    if content.kind == "FrozenEstimator":  # as all parts of a reconstructor are that was read
        return told(content.parts["estimator"])
    arrays = {key: (value.dtype.str, value.shape, value.tobytes()) for key, value in content.arrays.items()}
    files = {key: value for key, value in content.files.items() if not key.endswith(".skops")}
    facts = json.dumps(content.facts, sort_keys=True)
    return content.kind, facts, arrays, files, {key: told(part) for key, part in content.parts.items()}


def equal(a, b, name):
    outputs = CLASSES[name][1]
    return told(to_content(a)) == told(to_content(b)) and np.array_equal(outputs(a), outputs(b))


@every_class
def test_what_is_saved_is_what_is_read(made, tmp_path, name):
    one, other = made(name)
    assert not equal(one, other, name)
    one.save(tmp_path)
    assert equal(read(name, tmp_path), one, name)
    other.save(tmp_path)
    loaded = read(name, tmp_path, type(other))
    assert equal(loaded, other, name)
    hidden = ("device", "verbose", "images", "captions", "batch_size", "verbose", "targets", "vae")
    if name != "reconstructor":
        kept = {k: v for k, v in other.get_params(deep=False).items() if k not in hidden}
        assert {k: loaded.get_params()[k] for k in kept} == kept
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_reconstructor_keeps_all_parameters_and_all_parts(made, tmp_path):
    saved = made("reconstructor")[1]
    saved.save(tmp_path)
    loaded = read("reconstructor", tmp_path)
    for name in ("cross_fit", "repetitions", "n_images", "random_state", "targets", "images"):
        assert getattr(loaded, name) == getattr(saved, name)
    np.testing.assert_array_equal(loaded.seen_, saved.seen_)
    assert loaded.trained_on_ == saved.trained_on_
    assert loaded._stated == saved._stated
    assert loaded.n_features_in_ == saved.n_features_in_
    Z = loaded.embed(PROBE_X)
    assert loaded.captioner_.predict(Z) == saved.captioner_.predict(Z)
    pictures = [part.generator_.generate(Z) for part in (loaded, saved)]
    np.testing.assert_array_equal(*pictures)
    # The table of all pictures is on the disk once, though every part has it.
    assert (
        sum(saved.targets_.vectors.tobytes() in p.read_bytes() for p in tmp_path.rglob("*.safetensors")) == 1
    )


# -- a save that does not come to its end --------------------------------------------------------------


def points(total):
    return sorted({round(at) for at in np.linspace(1, total, N_POINTS)})


def in_child(at, part, folder):
    """Save in a process that is killed at a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not use
        child = os.fork()
    if child == 0:
        with fault(at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            part.save(folder)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), at


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@two_classes
def test_a_killed_save_leaves_the_old_or_the_new_and_never_a_mixture(made, tmp_path, name):
    old, new = made(name)
    old.save(tmp_path / "count")
    total = n_steps(lambda: new.save(tmp_path / "count"))
    states = []
    for at in points(total):
        folder = tmp_path / str(at)
        old.save(folder)
        in_child(at, new, folder)
        found = read(name, folder)
        states.append([equal(found, old, name), equal(found, new, name)])
        old.save(folder)
        assert equal(read(name, folder), old, name)
        assert len(list(folder.iterdir())) == 3  # what the killed one left is cleared away
    assert np.sum(states, axis=1).tolist() == [1] * len(states)
    assert np.all(np.sum(states, axis=0) > 0)


@two_classes
def test_a_full_disk_leaves_what_was_there(made, tmp_path, name):
    old, new = made(name)
    old.save(tmp_path / "count")
    total = n_steps(lambda: new.save(tmp_path / "count"))
    for at in points(total):
        folder = tmp_path / str(at)
        old.save(folder)
        with contextlib.suppress(OSError), fault(at, full):
            new.save(folder)
        found = read(name, folder)
        assert equal(found, old, name) != equal(found, new, name)
        fresh = tmp_path / f"fresh-{at}"
        with contextlib.suppress(OSError), fault(at, full):
            new.save(fresh)
        assert not is_saved(fresh) or equal(read(name, fresh), new, name)


# -- a folder that says something else -----------------------------------------------------------------

VALUES = [
    None, True, False, 0, -1, 1, 2, 3.5, -1e300, 1e300, float("nan"), float("inf"), 10**12, 2**70, "", "os.system",
    "s00", "../x", "gaussian", "unet", "velocity", [], [1], [[]], {}, {"__part__": "encoder"}, {"__part__": "nothing"},
    {"__array__": "net.coefficients"}, {"__class__": "os.system"}, {"__class__": "torch.nn.Linear"}, {"__tuple__": 3},
    {"__partial__": {"__class__": "torch.nn.Linear"}, "keywords": 3}, {"__objects__": [1]}, {"__text__": [1]},
    {"__pairs__": [[1]]}, [0] * 100,
]  # fmt: skip


def places_in(value, path=()):
    """Paths of everything in lists and dicts."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places_in(item, (*path, key))


def mutate(said, rng):
    """Change, drop, rename, double or swap one thing in the content that a manifest tells of."""
    said = copy.deepcopy(said)
    path = rng.choice(list(places_in(said["content"])))
    outer = said["content"]
    for key in path[:-1]:
        outer = outer[key]
    key, kind = path[-1], rng.choice(["value", "value", "value", "near", "drop", "rename", "more", "swap"])
    if kind == "value":
        outer[key] = copy.deepcopy(rng.choice(VALUES))
    elif kind == "near" and isinstance(outer[key], (int, float)):
        outer[key] = rng.choice(
            [outer[key] + 1, outer[key] - 1, -outer[key], float(outer[key]), str(outer[key])]
        )
    elif kind == "drop" and isinstance(outer, (dict, list)):
        del outer[key]
    elif kind == "rename" and isinstance(outer, dict):
        outer[f"{key}x"] = outer.pop(key)
    elif kind == "more" and isinstance(outer, dict):
        outer[rng.choice(["transform", "net_", "fit", "__class__", "seed_", "params", "x"])] = rng.choice(
            VALUES
        )
    else:
        other = rng.choice(list(outer)) if isinstance(outer, dict) else rng.randrange(len(outer))
        outer[key], outer[other] = outer[other], outer[key]
    return said


def mutate_arrays(said, folder, rng):
    """Change one array of one file, and the manifest with it."""
    said = copy.deepcopy(said)
    name = rng.choice(sorted(name for name in said["files"] if name.endswith("weights.safetensors")))
    shared = [other for other, file in said["files"].items() if file == said["files"][name]]
    arrays = load((folder / said["folder"] / min(shared)).read_bytes())
    key = rng.choice(sorted(arrays))
    value, kind = (
        arrays[key],
        rng.choice(["short", "long", "nan", "type", "int", "flat", "drop", "rename", "more", "zero"]),
    )
    if kind == "short":
        arrays[key] = value[:-1]
    elif kind == "long":
        arrays[key] = np.concatenate([value, value])
    elif kind == "nan":
        arrays[key] = np.full_like(value, rng.choice([np.nan, np.inf]))
    elif kind == "type":
        arrays[key] = value.astype(np.float16)
    elif kind == "int":
        arrays[key] = value.astype(np.int64)
    elif kind == "flat":
        arrays[key] = value.ravel()[:, None]
    elif kind == "drop":
        del arrays[key]
    elif kind == "rename":
        arrays[f"{key}x"] = arrays.pop(key)
    elif kind == "more":
        arrays["transform"] = value
    else:
        arrays[key] = np.zeros_like(value)
    content = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    for other in shared:
        said["files"][other] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return said, min(shared), content


def check_as_said(again, said):
    """Facts are those of a file, but for parameters that it leaves out, and those that the load is given."""
    again, said = copy.deepcopy(again), copy.deepcopy(said)
    again["params"] = {k: v for k, v in again["params"].items() if k in said["params"]}
    for facts in (again, said):
        facts["params"].pop("vae", None)
    assert json.dumps(again, sort_keys=True) == json.dumps(said, sort_keys=True)


@pytest.mark.parametrize("n", [25, pytest.param(200, marks=pytest.mark.slow)])
@every_class
def test_a_folder_that_was_tampered_with_is_refused_or_means_what_it_says(made, tmp_path, name, n):
    one = made(name)[0]
    one.save(tmp_path)
    manifest = tmp_path / "skeegclip.json"
    said = json.loads(manifest.read_bytes())
    rng = random.Random(f"{name} {n}")
    refused: list[Exception] = []
    for _ in range(n):
        undo = None
        if rng.random() < 0.3 and any(file.endswith("weights.safetensors") for file in said["files"]):
            changed, file, content = mutate_arrays(said, tmp_path, rng)
            path = tmp_path / said["folder"] / file
            undo = path.read_bytes()
            path.write_bytes(content)
        else:
            changed = mutate(said, rng)
        manifest.write_text(json.dumps(sealed(changed)))
        try:
            loaded = read(name, tmp_path)
        except KeyError as error:
            refused.append(
                FolderError(f"{tmp_path}: {error}" if "images has no picture" in str(error) else repr(error))
            )
        except (FolderError, TypeError, ValueError) as error:
            refused.append(error)
        else:
            assert type(loaded) is type(one)
            if undo is None:  # a number may come back in single precision
                check_as_said(to_content(loaded).facts, changed["content"]["facts"])
            CLASSES[name][1](loaded)
        if undo is not None:
            path.write_bytes(undo)
    assert len(refused) > n / 4
    for error in refused:
        assert str(tmp_path) in str(error)
        # A name that is not ours, or what has to be given, is the user's to mend; the rest is the folder's.
        mend = ("load(folder, ", "load has no parameter", "trusted=")
        assert isinstance(error, FolderError) or any(text in str(error) for text in mend), error
    manifest.write_text(json.dumps(said))
    assert equal(read(name, tmp_path), one, name)


def test_a_network_is_compared_with_its_weights_before_it_gets_memory(made, tmp_path):
    """A net of a million million weights, which no machine could hold, is refused in no time."""
    for name, change in [
        ("unet", {"widths": {"__tuple__": [10**6, 10**6]}, "n_time_features": 4}),
        ("mlp", {"width": 10**6, "n_blocks": 2, "n_time_features": 4}),
        ("mlp", {"width": 8, "n_blocks": 10**12, "n_time_features": 4}),
    ]:
        folder = tmp_path / f"{name}{change.get('n_blocks')}"
        made(name)[0].save(folder)
        manifest = folder / "skeegclip.json"
        said = json.loads(manifest.read_bytes())
        said["content"]["facts"]["params"]["net_params"] = change
        manifest.write_text(json.dumps(sealed(said)))
        with pytest.raises(FolderError, match="but the network wants|n_blocks must lie in"):
            DiffusionPrior.load(folder)


# -- names of models -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: low_level(1), {"vae": "/a/vae"}),
        (
            lambda: SDXLGenerator(weights="some/one", ip_adapter="/a/file"),
            {"weights": "some/one", "ip_adapter": "/a/file"},
        ),
        (
            lambda: EEGCaptioner(model="some/one", max_epochs=1, device="cpu").fit(
                PROBE_Z, np.ones((N, 3, 4))
            ),
            {"model": "some/one"},
        ),
    ],
    ids=["low level", "sdxl", "captioner"],
)
def test_a_model_that_a_file_names_is_only_taken_if_it_is_known_given_or_trusted(tmp_path, make, names):
    part = make()
    part.save(tmp_path)
    for name, value in names.items():
        others = {other: other_value for other, other_value in names.items() if other != name}
        with pytest.raises(
            ValueError, match=rf"names '{value}' as {name}, .* load\(folder, {name}=\.\.\.\); or trusted=True"
        ):
            type(part).load(tmp_path, **others)
    for how in ({"trusted": True}, {"trusted": list(names.values())}, names):
        loaded = type(part).load(tmp_path, device="cpu", **how)
        assert {name: getattr(loaded, name) for name in names} == names
    known = make().set_params(**{name: type(part)().get_params()[name] for name in names})
    known.save(tmp_path)
    assert type(part).load(tmp_path, device="cpu").get_params()[name] == type(part)().get_params()[name]


def test_a_network_of_the_users_is_asked_for(tmp_path):
    saved = low_level(1, net=Small)
    saved.save(tmp_path)
    with pytest.raises(ValueError, match=r"of your own as net, .* load\(folder, net=\.\.\.\)"):
        LowLevelDecoder.load(tmp_path, vae="/a/vae")
    loaded = LowLevelDecoder.load(tmp_path, vae="/a/vae", net=Small, device="cpu")
    np.testing.assert_array_equal(loaded.predict_latents(PROBE_X), saved.predict_latents(PROBE_X))


class Small(torch.nn.Module):
    """A network of the user's."""

    def __init__(
        self, n_outputs=None, n_chans=None, n_times=None, sfreq=None, chs_info=None, *, latent_shape=None
    ):
        super().__init__()
        self.linear = torch.nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.linear(x.flatten(1))
