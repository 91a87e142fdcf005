"""Files from outside: honest ones are read, the others run nothing."""

import copyreg
import io
import os
import pickle
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from skeegclip.datasets._pickles import read_pickled_dict

RNG = np.random.default_rng(0)
HONEST = {
    "preprocessed_eeg_data": RNG.standard_normal((6, 2, 5, 300)).astype(np.float32),
    "ch_names": ["Oz", "O1", "Pz", "P1", "P2"],
    "times": np.arange(300) / 250 - 0.2,
    "names_as_array": np.array(["Oz", "P1"]),
    "fortran": np.asfortranarray(RNG.standard_normal((100, 200))),
    "big_endian": np.arange(5, dtype=">i4"),
    "objects": np.array([["a", 1], ["b", 2]], dtype=object),
    "sfreq": np.float64(250),
    "count": 3,
}
del RNG


def _npy(content):
    file = io.BytesIO()
    np.save(file, content, allow_pickle=True)
    return file.getvalue()


WRITERS = {f"pickle {p}": lambda d, p=p: pickle.dumps(d, protocol=p) for p in (2, 3, 4, 5)} | {"numpy": _npy}


@pytest.mark.parametrize("how", WRITERS)
def test_honest_files_are_read(how, tmp_path):
    path = tmp_path / "file.npy"
    path.write_bytes(WRITERS[how](HONEST))
    read = read_pickled_dict(path)
    assert read.keys() == HONEST.keys()
    for name, expected in HONEST.items():
        np.testing.assert_array_equal(read[name], expected)
    assert read["big_endian"].dtype == np.dtype(">i4")
    assert not read["preprocessed_eeg_data"].flags.writeable


def test_files_of_numpy_before_version_2(tmp_path):
    old = pickle.dumps(HONEST, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    (tmp_path / "old.npy").write_bytes(old)
    np.testing.assert_array_equal(read_pickled_dict(tmp_path / "old.npy")["times"], HONEST["times"])


@pytest.mark.parametrize("how", ["pickle 4", "pickle 5", "numpy"])
def test_long_arrays_are_mapped_and_cost_no_memory(how, tmp_path):
    path = tmp_path / "long.npy"
    path.write_bytes(
        WRITERS[how]({"data": np.zeros((200, 4, 63, 250), np.float32), "times": np.arange(300.0)})
    )
    data = read_pickled_dict(path)["data"]
    assert isinstance(data, np.memmap)
    assert data.shape == (200, 4, 63, 250)


# -- attacks ------------------------------------------------------------------------------------------


class _Calls:
    """Pickles as a call of a function by name."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _attacks(canary):
    touch = f"open({str(canary)!r}, 'w').close()"
    shell = f"touch {canary}"
    return {
        "builtins.eval": _Calls(eval, touch),
        "builtins.exec": _Calls(exec, touch),
        "builtins.getattr": _Calls(getattr, bytes, "fromhex"),
        "builtins.__import__": _Calls(__import__, "os"),
        "builtins.open": _Calls(open, str(canary), "w"),
        "os.system": _Calls(os.system, shell),
        "subprocess": _Calls(subprocess.check_call, ["touch", str(canary)]),
        "numpy.load": _Calls(np.load, str(canary)),
        "numpy.memmap": _Calls(np.memmap, str(canary), "u1", "w+", 0, (4,)),
        "numpy.fromfile": _Calls(np.fromfile, str(canary)),
        "numpy.testing": _Calls(np.testing.measure, touch),
        "pickle.loads": _Calls(pickle.loads, pickle.dumps(_Calls(os.system, shell))),
        "codecs to bytecode": _Calls(__import__("codecs").encode, "x", "rot13"),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("attack", sorted(_attacks("x")))
def test_attacks_are_refused_and_nothing_runs(attack, protocol, tmp_path):
    canary = tmp_path / "canary"
    evil = _attacks(canary)[attack]
    hidden = {
        "alone": evil,
        "value": {"preprocessed_eeg_data": evil},
        "key": {"a": 1, evil: 2},
        "list": {"ch_names": ["Oz", [evil]]},
        "array of objects": {"times": np.array([1, evil], dtype=object)},
        "after the data": HONEST | {"times": evil},
    }
    for place, content in hidden.items():
        path = tmp_path / f"{place}.npy"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(ValueError, match="is refused: it asks for"):
            read_pickled_dict(path)
        assert not canary.exists(), place


def test_attacks_in_a_npy_file(tmp_path):
    np.save(
        tmp_path / "evil.npy", {"a": _Calls(os.system, f"touch {tmp_path / 'canary'}")}, allow_pickle=True
    )
    with pytest.raises(ValueError, match=r"asks for posix.system|asks for nt.system"):
        read_pickled_dict(tmp_path / "evil.npy")
    assert not (tmp_path / "canary").exists()


def _text(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def _named(module, name):
    return _text(module) + _text(name) + b"\x93"  # STACK_GLOBAL


RECONSTRUCT = _named("numpy.core.multiarray", "_reconstruct")
NDARRAY, DTYPE = _named("numpy", "ndarray"), _named("numpy", "dtype")
EMPTY_ARRAY = RECONSTRUCT + b"(" + NDARRAY + b"K\x00\x85C\x01bt" + b"R"


def _dtype(code):
    return DTYPE + b"(" + _text(code) + b"\x89\x88t" + b"R"


def _array(code, shape, content):
    """An array whose state says what it likes."""
    shape = b"(" + b"".join(b"\x8a\x09" + n.to_bytes(9, "little", signed=True) for n in shape) + b"t"
    return EMPTY_ARRAY + b"(K\x01" + shape + _dtype(code) + b"\x89" + content + b"tb"


BYTES16 = b"C\x10" + bytes(range(16))
CRAFTED = {
    "dotted name": _named("numpy.core.multiarray", "_reconstruct.__globals__"),
    "dotted class": _named("numpy", "ndarray.__class__"),
    "module of numpy": _named("numpy", "f2py"),
    "attributes set on what is admitted": RECONSTRUCT + b"N}" + _text("__defaults__") + b"Ns\x86b",
    "dictionary of what is admitted": RECONSTRUCT + b"}" + _text("a") + b"Nsb",
    "class made anew": NDARRAY + b"(\x8a\x06\x00\x00\x00\x00\x00\x01t\x81",
    "class with keywords": NDARRAY + b")}\x92",
    "ndarray called": NDARRAY + b"K\x04\x85R",
    "another class for the array": RECONSTRUCT + b"(" + _named("collections", "OrderedDict") + b"t" + b"R",
    "old-style instance": b"(cos\nsystem\no",
    "instance": b"(S'x'\nios\nsystem\n",
    "persistent id": b"Pname\n",
    "pointers as content": _array("O", [2], BYTES16),
    "records": _array("V16", [1], BYTES16),
    "array of arrays": _array("(2,)f8", [1], BYTES16),
    "dates": _array("M8[s]", [2], BYTES16),
    "more shape than content": _array("f8", [10**12], BYTES16),
    "overflowing shape": _array("f8", [2**33, 2**33], BYTES16),
    "negative shape": _array("f8", [-2, -1], BYTES16),
    "object list too short": _array("O", [5], b"]"),
    "text as numbers": _array("f8", [2], _text("0123456789abcdef")),
    "no dtype": EMPTY_ARRAY + b"(K\x01K\x02\x85N\x89" + BYTES16 + b"tb",
    "bytes of an exabyte": b"\x8e" + (2**60).to_bytes(8, "little"),
    "bytearray of an exabyte": b"\x96" + (2**60).to_bytes(8, "little"),
    "text of an exabyte": b"\x8d" + (2**60).to_bytes(8, "little"),
    "frame of an exabyte": b"\x95" + (2**60).to_bytes(8, "little"),
    "list inside itself": b"]\x94h\x00a",
    "nested a thousand deep": b"(" * 1000 + b"t" * 1000,
    "number": b"K\x01",
    "nothing": b"",
}


# Honest inside a dictionary.
ALONE_ONLY = {"number", "nothing", "list inside itself", "nested a thousand deep"}


@pytest.mark.parametrize(
    ("attack", "wrapped"), [(a, False) for a in CRAFTED] + [(a, True) for a in CRAFTED if a not in ALONE_ONLY]
)
def test_crafted_pickles_are_refused(attack, wrapped, tmp_path):
    body = CRAFTED[attack]
    path = tmp_path / "crafted.npy"
    path.write_bytes(b"\x80\x04" + (b"}" + _text("data") + body + b"s" if wrapped else body) + b".")
    with pytest.raises(ValueError, match=r"is refused|is cut off or not|holds no dictionary"):
        read_pickled_dict(path)


def test_a_memo_as_long_as_memory_is_not_made(tmp_path):
    # The unpickler in C fills a list up to the index named here: 34 GB.
    path = tmp_path / "memo.npy"
    path.write_bytes(b"\x80\x04}r" + struct.pack("<I", 2**31 + 1) + b".")
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 << 30, limit[1]))
    try:
        assert read_pickled_dict(path) == {}
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def test_registered_extensions_are_refused(tmp_path):
    copyreg.add_extension("os", "system", 211)
    try:
        copyreg._extension_cache[211] = os.system  # as after an honest use of it
        (tmp_path / "ext.npy").write_bytes(b"\x80\x02\x82\xd3.")
        with pytest.raises(ValueError, match="asks for extension 211"):
            read_pickled_dict(tmp_path / "ext.npy")
    finally:
        copyreg.remove_extension("os", "system", 211)


@pytest.mark.parametrize("how", ["pickle 2", "pickle 5", "numpy"])
def test_files_cut_off_anywhere(how, tmp_path, rng):
    whole = WRITERS[how](HONEST)
    path = tmp_path / "part.npy"
    for length in sorted({0, 1, 5, 20, len(whole) - 1, *rng.integers(len(whole), size=40).tolist()}):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is cut off or not a pickled dictionary"):
            read_pickled_dict(path)


def test_damaged_files_are_read_or_refused(tmp_path, rng):
    whole = np.frombuffer(_npy(HONEST | {"preprocessed_eeg_data": np.zeros(3)}), np.uint8)
    path = tmp_path / "damaged.npy"
    outcomes = set()
    for _ in range(500):
        damaged = whole.copy()
        damaged[rng.integers(len(whole), size=2)] = rng.integers(256, size=2)
        path.write_bytes(damaged.tobytes())
        try:
            outcomes.add(type(read_pickled_dict(path)))
        except ValueError:
            outcomes.add(ValueError)
    assert outcomes == {dict, ValueError}


def test_plain_arrays_and_other_files(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(ValueError, match="an array of float64, not a dictionary"):
        read_pickled_dict(tmp_path / "plain.npy")
    (tmp_path / "page.npy").write_text("<html>404</html>")
    with pytest.raises(ValueError, match="not a pickled dictionary"):
        read_pickled_dict(tmp_path / "page.npy")
    with pytest.raises(FileNotFoundError):
        read_pickled_dict(tmp_path / "none.npy")


def test_reading_imports_nothing_that_the_file_names(tmp_path):
    (tmp_path / "import.npy").write_bytes(b"\x80\x04" + _named("antigravity", "x") + b".")
    with pytest.raises(ValueError, match="antigravity.x"):
        read_pickled_dict(tmp_path / "import.npy")
    assert "antigravity" not in sys.modules
