"""Folders of models from a stranger: code that comes with the weights is not run, and nobody is asked whether to."""

import json
import subprocess
import sys

import numpy as np
import pytest

AUTO = (
    "AutoConfig",
    "AutoModel",
    "AutoModelForCausalLM",
    "AutoImageProcessor",
    "AutoProcessor",
    "AutoTokenizer",
)
MAP = dict.fromkeys(AUTO, "evil.Evil")
# Loads each folder as the package does, and tells what came of it.
PROGRAM = """
import json, sys
from skeegclip.embeddings._vision import find_vision, load_vision
from skeegclip.embeddings._weights import find_weights, load_tokenizer, load_weights
from skeegclip.generation.captions.git import load_git
from skeegclip.generation.low_level.vae import load_vae
loads = {
    "vae": lambda f: load_vae(f, "cpu"),
    "git": lambda f: load_git(f, "cpu"),
    "clip": lambda f: load_weights(find_weights("local-dir:" + f, None), "cpu"),
    "image": lambda f: load_vision(find_vision(f, None), "cpu"),
    "tokenizer": lambda f: load_tokenizer("local-dir:" + f),
}
for what, folder in json.loads(sys.argv[1]):
    try:
        loads[what](folder)
        print(json.dumps(["loaded", folder]))
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


def write(path, **content):
    path.write_text(json.dumps(content))


def change(path, **more):
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Folders (what, path, what must come of it), and the file that their code would write."""
    from diffusers import AutoencoderKL
    from safetensors.numpy import save_file

    root = tmp_path_factory.mktemp("strangers")
    marker = root / "marker"
    code = (
        f"open({str(marker)!r}, 'w').write('ran')\n"
        "class Evil:\n    def __init__(self, *args, **kwargs): pass\n"
        "    @classmethod\n    def from_pretrained(cls, *args, **kwargs): return cls()\n"
    )

    def folder(name):
        path = root / name
        path.mkdir(exist_ok=True)
        (path / "evil.py").write_text(code)
        return path

    made = []
    own = folder("vae-own")
    write(own / "config.json", _class_name="Evil", auto_map=MAP)
    made.append(("vae", own, "OSError", "names the class 'Evil', which is no autoencoder of diffusers"))
    handed_on = folder("vae-handed-on")
    write(handed_on / "config.json", model_type="evil", auto_map=MAP)
    made.append(("vae", handed_on, "OSError", "which is no autoencoder of diffusers"))
    real = folder("vae-real")
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2).save_pretrained(real)
    change(real / "config.json", auto_map=MAP)
    made.append(("vae", real, "loaded", ""))  # as what it says it is
    pickled = folder("vae-pickled")
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2).save_pretrained(
        pickled, safe_serialization=False
    )
    made.append(("vae", pickled, "OSError", "safetensors"))

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    small |= {"vocab_size": 10, "vision_config": {**small, "image_size": 32, "patch_size": 16}}
    for name in ("git-own", "git-tokenizer", "git-processor"):
        path = folder(name)
        save_file({"weight": np.zeros(1, np.float32)}, path / "model.safetensors", metadata={"format": "pt"})
        write(path / "config.json", model_type="evil" if name == "git-own" else "git", auto_map=MAP, **small)
        write(
            path / "tokenizer_config.json",
            tokenizer_class="Evil",
            auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
        )
        write(path / "preprocessor_config.json", image_processor_type="Evil", auto_map=MAP)
        if name == "git-processor":
            write(path / "processor_config.json", processor_class="Evil", auto_map=MAP)
        made.append(("git", path, "OSError", "contains custom code"))
    made.append(("image", root / "git-own", "ValueError", "contains custom code"))

    text = {"context_length": 8, "hf_model_name": str(own), "hf_tokenizer_name": str(own)}
    text["tokenizer_kwargs"] = {"trust_remote_code": True}
    vision = {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4}
    clip = folder("clip")
    write(
        clip / "open_clip_config.json",
        model_cfg={"embed_dim": 4, "vision_cfg": vision, "text_cfg": text},
        preprocess_cfg={},
    )
    write(own / "config.json", _class_name="Evil", model_type="evil", auto_map=MAP)
    write(clip / "config.json", model_type="evil", auto_map=MAP)
    write(
        clip / "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
    )
    save_file({"weight": np.zeros(1, np.float32)}, clip / "open_clip_model.safetensors")
    made += [
        ("clip", clip, "ValueError", "cannot be read without running code"),
        ("tokenizer", clip, "ValueError", "tokenizer cannot be loaded (The repository"),
    ]
    return made, marker


@pytest.mark.parametrize("stdin", ["closed", pytest.param("yes", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_no_code_of_a_strangers_folder_is_run_and_nobody_is_asked(strangers, stdin):
    folders, marker = strangers
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([(what, str(path)) for what, path, *_ in folders])],
        input="" if stdin == "closed" else "y\n" * 100,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [outcome for outcome, _ in told] == [outcome for *_, outcome, _ in folders], (told, done.stderr)
    for (_, text), (_, path, outcome, expected) in zip(told, folders, strict=True):
        assert outcome == "loaded" or expected in text, (path, text)
    assert not marker.exists()
    assert "[y/N]" not in done.stdout + done.stderr
