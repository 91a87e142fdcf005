"""EEGCaptioner: from embeddings to words."""

import copy
import pickle
import shutil

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skeegclip import EEGCaptioner, EmbeddingTable, ImageTable
from skeegclip.embeddings import load_patch_tokens
from skeegclip.embeddings.patch_tokens import write_patch_tokens
from skeegclip.generation.captions.git import captions_of, load_git, tokens_of
from skeegclip.generation.low_level.nets.pixel_projector import PixelProjector

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a the of on in with and red green blue dog cat bird boat car tree house sky sea"
    " grass small large old wooden white black man woman sitting standing"
)
N, N_DIMS = 6, 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a tiny GIT model with random weights, in transformers' format."""
    from transformers import BertTokenizer, CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    folder = tmp_path_factory.mktemp("git")
    (folder / "vocab.txt").write_text(WORDS.replace(" ", "\n"))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    config = GitConfig(
        vocab_size=len(WORDS.split()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        vision_config={
            "hidden_size": 20,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        git = GitForCausalLM(config)
        with torch.no_grad():
            for parameter in git.parameters():
                if parameter.ndim > 1:  # transformers' own start writes the same word for every picture
                    parameter.normal_(0, 0.5)
    git.save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    GitProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return ImageTable([f"s{i}" for i in range(N)], rng.integers(0, 256, (N, 40, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def git(model):
    return load_git(model, "cpu")


@pytest.fixture(scope="module")
def tokens(git, images):
    """Of the pictures, from the model's own eye."""
    return np.concatenate(list(tokens_of(git, images.lookup(images.ids), 4)))


@pytest.fixture(scope="module")
def Z():
    return np.random.default_rng(1).standard_normal((N, N_DIMS)).astype(np.float32)


def make(model, **params):
    defaults = {"validation": 0, "max_epochs": 2, "batch_size": 4, "max_new_tokens": 8, "device": "cpu"}
    return EEGCaptioner(model=model, random_state=0, **{**defaults, **params})


# -- GIT -----------------------------------------------------------------------------------------------


def test_true_tokens_give_the_caption_of_the_picture(model, git, images, tokens):
    """What transformers writes of the pictures themselves is what is written of their tokens."""
    from transformers import AutoProcessor, GitForCausalLM

    plain, processor = GitForCausalLM.from_pretrained(model).eval(), AutoProcessor.from_pretrained(model)
    pixels = processor(images=list(images.lookup(images.ids)), return_tensors="pt").pixel_values
    words = plain.generate(pixel_values=pixels, max_new_tokens=8)
    of_pictures = [text.strip() for text in processor.batch_decode(words, skip_special_tokens=True)]
    assert len(set(of_pictures)) >= 3  # they differ, so that there is something to confuse
    assert tokens.shape == (N, 17, 20) == (N, *git.token_shape)
    assert captions_of(git, torch.from_numpy(tokens), 8, "float32") == of_pictures
    one_by_one = [captions_of(git, torch.from_numpy(t[None]), 8, "float32")[0] for t in tokens]
    assert one_by_one == of_pictures
    shuffled = captions_of(git, torch.from_numpy(tokens[::-1].copy()), 8, "float32")
    assert shuffled == of_pictures[::-1]


def test_it_learns_the_tokens_and_writes_from_them(model, git, images, tokens, Z):
    captioner = make(model, tokens=(images.ids, tokens), max_epochs=400, lr=1e-2).fit(Z, images.ids)
    assert captioner.history_[-1]["train_loss"] < 0.2 * captioner.history_[0]["train_loss"]
    predicted = captioner.predict_tokens(Z)
    assert predicted.shape == (N, 17, 20)
    likeness = [np.corrcoef(predicted.ravel(), other.ravel())[0, 1] for other in (tokens, tokens[::-1])]
    assert likeness[0] > 0.7 > 0.6 > likeness[1]
    written = captioner.predict(Z)
    assert written == captions_of(git, torch.from_numpy(predicted), 8, "float32")
    assert captioner.predict(Z[::-1]) == written[::-1]


def test_from_pictures_to_captions_as_transformers_does_it(model, images, Z, tmp_path):
    """Learned from pictures, saved, loaded with a model that lies elsewhere. Beside it only transformers: the tokens are
    what its eye sees of the processor's pixels, and the captions what its generate writes of the predicted tokens."""
    from PIL import Image
    from transformers import AutoProcessor, GitForCausalLM

    plain, processor = GitForCausalLM.from_pretrained(model).eval(), AutoProcessor.from_pretrained(model)
    pictures = [Image.fromarray(images[name]) for name in images.ids]
    pixels = processor(images=pictures, return_tensors="pt").pixel_values
    with torch.inference_mode():
        seen = plain.git.image_encoder(pixels).last_hidden_state.numpy()

    captioner = make(model, images=images, max_epochs=300, lr=1e-2, batch_size=N).fit(Z, images.ids)
    captioner.save(tmp_path / "captioner")
    elsewhere = shutil.copytree(model, tmp_path / "model")
    loaded = EEGCaptioner.load(tmp_path / "captioner", model=elsewhere, device="cpu")
    predicted = loaded.predict_tokens(Z)
    error = float(np.mean((predicted - seen) ** 2))
    assert error == pytest.approx(
        captioner.history_[-1]["train_loss"], rel=0.02
    )  # tokens are kept in half precision
    assert error < 0.6 * float(np.mean((predicted[::-1] - seen) ** 2))

    def instead(module, args, output):
        output.last_hidden_state = torch.from_numpy(predicted)
        return output

    with plain.git.image_encoder.register_forward_hook(instead):
        words = plain.generate(pixel_values=pixels, max_new_tokens=8, do_sample=False, num_beams=1)
    truth = [text.strip() for text in processor.batch_decode(words, skip_special_tokens=True)]
    assert len(set(truth)) >= 2
    assert loaded.predict(Z) == captioner.predict(Z) == truth


def test_tokens_may_come_from_anywhere(model, images, tokens, Z, tmp_path):
    ids, order = images.ids, np.array([3, 1, 0, 5, 2, 4])
    write_patch_tokens(
        tmp_path / "tokens",
        ids[order],
        lambda done: iter([(ids[order], tokens[order])]),
        contents=ids[order].tolist(),
        settings={},
        dtype="float32",
        verbose=0,
    )
    sources = {
        "pair": {"tokens": (ids[order], tokens[order])},
        "mapping": {"tokens": dict(zip(ids.tolist(), tokens, strict=True))},
        "disk": {"tokens": load_patch_tokens(tmp_path / "tokens")},
        "pictures": {"images": images},
    }
    y = np.tile(ids, 2)
    given = make(model).fit(np.tile(Z, (2, 1)), np.tile(tokens, (2, 1, 1))).predict_tokens(Z)
    for name, source in sources.items():
        captioner = make(model, **source).fit(np.tile(Z, (2, 1)), y)
        tolerance = 0.02 if name == "pictures" else 1e-5  # kept in half precision
        np.testing.assert_allclose(captioner.predict_tokens(Z), given, atol=tolerance, err_msg=name)


def test_stimuli_are_held_out(model, images, tokens, Z):
    captioner = make(model, tokens=(images.ids, tokens), validation=0.4, max_epochs=3)
    captioner.fit(np.tile(Z, (3, 1)), np.tile(images.ids, 3))
    assert captioner.selection_["rule"] == "validation"
    assert all("valid_loss" in row for row in captioner.history_)


def test_the_projector_has_the_published_size():
    with torch.device("meta"):
        net = PixelProjector(1024, 257, 1024)
        assert net(torch.zeros(2, 1024)).shape == (2, 257, 1024)
    assert sum(p.numel() for p in net.parameters()) == 1_052_676


def test_saved_and_pickled_captioners_write_the_same(model, images, tokens, Z, tmp_path):
    captioner = make(str(model), tokens=(images.ids, tokens)).fit(Z, images.ids)
    written = captioner.predict(Z)
    captioner.save(tmp_path)
    loaded = EEGCaptioner.load(tmp_path, trusted=[str(model)], device="cpu")
    moved = EEGCaptioner.load(tmp_path, model=model, device="cpu")
    for other in (loaded, moved, pickle.loads(pickle.dumps(captioner)), copy.deepcopy(captioner)):
        assert other.predict(Z) == written
    assert len(pickle.dumps(captioner.set_params(tokens=None))) < 50_000  # without the model
    again = make(str(model), tokens=(images.ids, tokens)).fit(Z, images.ids)
    np.testing.assert_array_equal(again.predict_tokens(Z), captioner.predict_tokens(Z))


def test_progress_bars_are_shown_on_demand(model, images, Z, capsys):
    make(model, images=images, verbose=1).fit(Z, images.ids).predict(Z)
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("looking", "training", "captions"))


# -- the nearest stimulus ------------------------------------------------------------------------------


def test_nearest_takes_the_caption_of_the_nearest_stimulus(Z, images, tmp_path):
    texts = {name: f"caption of {name}" for name in images.ids.tolist()}
    noisy = np.tile(Z, (2, 1)) + 0.1 * np.random.default_rng(0).standard_normal((2 * N, N_DIMS))
    captioner = EEGCaptioner("nearest", captions=texts).fit(noisy, np.tile(images.ids, 2))
    assert captioner.predict(7 * Z) == list(texts.values())  # length does not matter
    table = EmbeddingTable(images.ids, Z[::-1])
    by_table = EEGCaptioner("nearest", captions=texts, targets=table).fit(noisy, np.tile(images.ids, 2))
    assert by_table.predict(Z) == list(texts.values())[::-1]
    by_text = EEGCaptioner("nearest").fit(Z, list(texts.values()))
    assert by_text.predict(Z) == list(texts.values())
    captioner.save(tmp_path)
    for other in (EEGCaptioner.load(tmp_path), pickle.loads(pickle.dumps(captioner))):
        assert other.predict(Z) == list(texts.values())
    assert clone(by_table).targets is table


# -- what it refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"caption": "blip"}, ValueError, r"caption must be one of 'git', 'nearest'"),
        ({"model": 3}, TypeError, r"model must be a name or a folder, got int"),
        ({"max_new_tokens": 0}, ValueError, r"max_new_tokens must lie in"),
        ({"lr": 0}, ValueError, r"lr must lie in"),
        ({"batch_size": 0}, ValueError, r"batch_size must lie in"),
        ({"max_epochs": 0}, ValueError, r"max_epochs must lie in"),
        ({"validation": 1}, ValueError, r"validation must lie in"),
        ({"tokens": 3}, TypeError, r"tokens must be a mapping from id to array, or a pair"),
        ({"tokens": {}}, KeyError, r"tokens has no entry for 6 ids \(first: 's0'\)"),
        (
            {"tokens": dict.fromkeys(["s0", "s1", "s2", "s3", "s4", "s5"], 1)},
            ValueError,
            r"tokens\['s0'\] must have shape",
        ),
        (
            {"tokens": (["s0"], np.zeros((2, 3, 4)))},
            ValueError,
            r"tokens must pair 1 ids with an array \(1, n_tokens",
        ),
        ({"tokens": (["s0"], np.zeros((1, 3, 4)))}, KeyError, r"y: 5 of 6 ids are not in the tokens"),
        ({"images": [1]}, TypeError, r"images must be an ImageTable"),
        ({"images": {"s0": 1}}, KeyError, r"images has no picture of stimulus 's1'"),
        ({}, ValueError, r"tokens and images are None, so y must hold the tokens themselves"),
        ({"caption": "nearest", "captions": 3}, TypeError, r"captions must be a mapping"),
        (
            {"caption": "nearest", "captions": {"s0": "a"}},
            KeyError,
            r"captions has no entry for 5 ids \(first: 's1'\)",
        ),
        (
            {"caption": "nearest", "captions": dict.fromkeys(["s0", "s1", "s2", "s3", "s4", "s5"], 1)},
            TypeError,
            r"captions must map ids to text, got 1 of type int",
        ),
        ({"caption": "nearest", "targets": 3}, TypeError, r"targets must be an EmbeddingTable or None"),
        (
            {"caption": "nearest", "targets": EmbeddingTable(["s0"], [[1.0]])},
            ValueError,
            r"targets are looked up by stimulus id, but without captions= y holds the captions",
        ),
    ],
)
def test_parameters_that_are_refused(Z, images, params, error, message):
    captioner = make(**{"model": "none", **params})
    with pytest.raises(error, match=message):
        captioner.fit(Z, images.ids)
    assert not hasattr(captioner, "n_features_in_")


def test_inputs_that_are_refused(model, images, tokens, Z, tmp_path):
    pair = (images.ids, tokens)
    with pytest.raises(NotFittedError):
        make(model).predict(Z)
    with pytest.raises(ValueError, match=r"Z has 6, y has 5"):
        make(model, tokens=pair).fit(Z, images.ids[1:])
    with pytest.raises(ValueError, match=r"X has 3 features, but EEGCaptioner is expecting 24"):
        make(model, tokens=pair).fit(Z, images.ids).predict(Z[:, :3])
    with pytest.raises(OSError, match=r"could not be loaded: neither a folder in transformers' format"):
        make(tmp_path, images=images).fit(Z, images.ids)
    other = make(model).fit(Z, tokens[:, :5])
    with pytest.raises(
        ValueError, match=r"sees 17 tokens of width 20, but the projector was trained for 5 of 20"
    ):
        other.predict(Z)
    texts = dict.fromkeys(images.ids.tolist(), "a")
    table = EmbeddingTable(images.ids, Z[:, :3])
    with pytest.raises(ValueError, match=r"targets have 3 dimensions, but Z has 24"):
        EEGCaptioner("nearest", captions=texts, targets=table).fit(Z, images.ids)
    with pytest.raises(NotFittedError):
        EEGCaptioner("nearest").fit(Z, images.ids).predict_tokens(Z)
