"""Published weights decode here as they do in the code that published them."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, load_reference_checkpoint

NAMES = ["ATMS", "ATM_E", "NICE", "MLP", "MetaEEG", "EEGNetv4"]
SMALL = {"n_outputs": 16, "n_chans": 5, "n_times": 90}

pytestmark = pytest.mark.filterwarnings("ignore:Parameter 'final_layer_with_constraint:DeprecationWarning")


def load(state, **params):
    return load_reference_checkpoint(state, device="cpu", **params)


def assert_figures(z, first_five, total, norm):
    """Compare with published figures, to 1e-4 and to the seven digits that a sum of float32 values has."""
    z = torch.as_tensor(z).double()
    figures = [*z.flatten()[:5].tolist(), z.sum().item(), z.norm().item()]
    np.testing.assert_allclose(figures, [*first_five, total, norm], rtol=1e-7, atol=1e-4)


# -- the published figures -------------------------------------------------------------------------------


def test_atms_gives_the_published_figures(plain, fill, hashed):
    encoder = load(fill(plain.atms_layers()).state_dict())
    z = encoder.transform(hashed(2, 63, 250), subject="sub-08")
    assert_figures(z, [0.059308, -0.030464, 0.020068, 0.277774, 0.628761], 1425.43569, 46.90481)


def test_the_block_of_attention_gives_the_published_figures(plain, fill, hashed):
    encoder = load(fill(plain.atms_layers()).state_dict())
    seen = []
    encoder.net_.module_.tsconv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    encoder.transform(hashed(2, 63, 250), subject="sub-01")
    assert_figures(seen[0][:2], [0.000729, 0.018663, 0.042377, 0.314480, 0.300785], 23280.68395, 215.21743)


def test_nice_gives_the_published_figures(plain, fill, hashed):
    encoder = load(fill(plain.nice_layers()).state_dict())
    z = encoder.transform(hashed(2, 63, 250))
    assert_figures(z, [0.058877, -0.033933, 0.031552, 0.299475, 0.650263], 1425.42830, 46.90374)


def test_the_loss_gives_the_published_figure(plain, fill, hashed):
    state = fill(plain.nice_layers(**SMALL)).state_dict() | {"logit_scale": torch.tensor(2.65926)}
    clip = load(state).net_.criterion_.clip
    target = np.cos(0.07 * np.arange(4 * 1024)).reshape(4, 1024)
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    loss = clip(torch.tensor(hashed(4, 1024)), torch.tensor(target))
    assert loss.item() == pytest.approx(2.351606, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_networks_have_the_published_keys(plain, real_data, name):
    path = real_data / "reference_state_dicts.json"
    if not path.exists():
        pytest.skip("real data has no file reference_state_dicts.json")
    state = plain.LAYERS[name]().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == json.loads(path.read_text())[name]


# -- the same function as layer by layer -----------------------------------------------------------------


def fan_in(weight):
    return weight[0].numel() if weight.ndim > 1 else 1


def trained(net):
    """Random weights, all different, with running statistics and norms that matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and not key.endswith(".pe"):
                value.copy_(torch.randn(value.shape, generator=generator) / fan_in(value) ** 0.5)
                if key.endswith("conv_spatial.weight"):
                    value[::2] *= 3  # some beyond the largest norm
    return net.eval()


@pytest.mark.parametrize("size", [{}, SMALL], ids=["published", "small"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_network_layer_by_layer(plain, hashed, name, size):
    net = trained(plain.LAYERS[name](**size))
    x = hashed(3, size.get("n_chans", 63), size.get("n_times", 250))
    given = {} if name in ("ATMS", "ATM_E", "MetaEEG", "MLP") or not size else {"n_times": 90}
    encoder = load(net.state_dict(), **given)
    with torch.no_grad():
        if name == "ATMS":
            expected = plain.atms(net, torch.tensor(x), 4)
            z = encoder.transform(x, subject="sub-04")
        else:
            expected, z = plain.FORWARD[name](net, torch.tensor(x)), encoder.transform(x)
    assert expected.std(0).mean() > 1e-3  # epochs differ
    np.testing.assert_allclose(z, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_attention_uses_the_trained_layer_not_the_prototype_that_was_copied(plain, hashed):
    net = trained(plain.atme_layers(**SMALL))
    state = net.state_dict()
    z = load(state).transform(hashed(3, 5, 90))
    for key in state:
        if key.startswith("attention_model.encoder_layer."):
            state[key] = torch.zeros_like(state[key])
    np.testing.assert_array_equal(load(state).transform(hashed(3, 5, 90)), z)


# -- the networks that are trained under the published names ---------------------------------------------


def trained_here(name, state, hashed, **params):
    """An EEGEncoder that was fitted, and then given other weights."""
    encoder = EEGEncoder(name, max_epochs=1, random_state=0, device="cpu", validation=0, precision="float32")
    encoder.set_params(**params).fit(100 * hashed(6, 5, 90), hashed(6, 16))
    encoder.net_.module_.load_state_dict(state)
    # What goes into the network is divided by this.
    return encoder, encoder.fitted_.spec.net_params["input_spread"]


@pytest.mark.parametrize("name", ["ATM_E", "NICE", "MLP", "MetaEEG", "EEGNetv4"])
def test_what_is_trained_under_a_published_name_is_the_network_of_its_checkpoints(plain, hashed, name):
    net = trained(plain.LAYERS[name](**({**SMALL, "n_features": 24} if name == "ATM_E" else SMALL)))
    loaded = load(net.state_dict(), n_times=None if name in ("ATM_E", "MetaEEG", "MLP") else 90)
    weights = loaded.net_.module_.state_dict()
    given = {"net_params": {"n_features": 24}} if name == "ATM_E" else {}
    encoder, spread = trained_here(loaded.net, weights, hashed, **given)
    assert type(encoder.net_.module_) is type(loaded.net_.module_)
    x = hashed(3, 5, 90)
    np.testing.assert_allclose(encoder.transform(spread * x), loaded.transform(x), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        expected = plain.FORWARD[name](net, torch.tensor(x)).numpy()
    np.testing.assert_allclose(encoder.transform(spread * x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [{}, SMALL], ids=["published", "small"])
def test_eegitnet_is_the_one_that_the_paper_ran(plain, hashed, size):
    from skeegclip.nets import get_net

    sizes = {"n_outputs": 1024, "n_chans": 63, "n_times": 250, **size}
    net = trained(plain.eegitnet_layers(**sizes))
    cls, params = get_net("eegitnet", sizes["n_times"])
    ours = cls(**sizes, **params).eval()
    theirs = {key: value for key, value in net.state_dict().items() if key != "logit_scale"}
    assert [v.shape for v in ours.state_dict().values()] == [v.shape for v in theirs.values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.values(), strict=True)))
    x = torch.tensor(hashed(3, sizes["n_chans"], sizes["n_times"]))
    with torch.no_grad():
        z, expected = ours(x), plain.eegitnet(net, x)
    assert expected.std(0).mean() > 1e-3
    torch.testing.assert_close(z, expected, rtol=1e-4, atol=1e-4)
    assert size or sum(p.numel() for p in net.parameters()) == 433_863


# -- subjects --------------------------------------------------------------------------------------------


def test_subjects_are_told_apart_as_the_published_code_does(plain, hashed):
    net, x = trained(plain.atms_layers(**SMALL)), hashed(3, 5, 90)
    encoder = load(net.state_dict())
    assert encoder.subjects_.tolist() == [f"sub-0{i}" for i in range(1, 10)]
    for subject, number in {"sub-01": 1, "sub-09": 9, "sub-10": 10, "somebody": 10, None: 10}.items():
        with torch.no_grad():
            expected = plain.atms(net, torch.tensor(x), number).numpy()
        np.testing.assert_allclose(encoder.transform(x, subject=subject), expected, rtol=1e-4, atol=1e-5)
    # Row by row: the published code evaluated one epoch at a time, where an unknown one does not touch the others.
    mixed = encoder.transform(x, subject=["sub-01", "sub-10", "sub-09"])
    alone = [encoder.transform(x, subject=s)[i] for i, s in enumerate(["sub-01", "sub-10", "sub-09"])]
    np.testing.assert_allclose(mixed, alone, rtol=1e-4, atol=1e-5)


def test_the_last_channel_is_not_looked_at_after_attention(plain, hashed):
    # Its token only meets the others in the attention: with values of zero there it says nothing.
    net = trained(plain.atms_layers(**SMALL))
    net.get_submodule("encoder.encoder.attn_layers.0.attention.value_projection").weight.data.zero_()
    encoder, x = load(net.state_dict()), hashed(3, 5, 90)
    z, changed = encoder.transform(x), x.copy()
    changed[:, -1] += 1
    np.testing.assert_allclose(encoder.transform(changed), z, rtol=1e-5, atol=1e-6)
    changed[:, 0] += 1
    assert not np.allclose(encoder.transform(changed), z)


def test_subject_layers_that_are_never_used_may_be_many(plain, hashed):
    x = hashed(3, 5, 90)
    for make in (plain.atms_layers, plain.meta_layers):
        few, many = trained(make(**SMALL, n_subject_layers=1)), trained(make(**SMALL, n_subject_layers=10))
        state = {**many.state_dict(), **few.state_dict()}
        np.testing.assert_array_equal(load(state).transform(x), load(few.state_dict()).transform(x))


# -- the encoder it returns ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_fitted_encoder(plain, hashed, name, tmp_path):
    state = trained(plain.LAYERS[name](**SMALL)).state_dict()
    table = EmbeddingTable(["a", "b", "c"], hashed(3, 16))
    n_times = 90 if name in ("NICE", "EEGNetv4") else None
    encoder, x = load(state, targets=table, n_times=n_times), hashed(3, 5, 90)
    z = encoder.transform(x)
    assert (z.shape, z.dtype, encoder.predict(x).dtype) == ((3, 16), np.float32, np.float64)
    assert (encoder.n_chans_, encoder.n_times_in_, encoder.n_outputs_) == (5, 90, 16)
    assert 1 / encoder.temperature_ == pytest.approx(state["logit_scale"].item())  # raw, never exponentiated
    assert encoder.score(x, table.ids) in (0, 1 / 3, 2 / 3, 1)
    encoder.save(tmp_path)
    for again in (
        pickle.loads(pickle.dumps(encoder)),
        copy.deepcopy(encoder),
        EEGEncoder.load(tmp_path, device="cpu"),
    ):
        np.testing.assert_array_equal(again.transform(x), z)
        assert again.temperature_ == encoder.temperature_
    retriever = ImageRetriever(FrozenEstimator(encoder)).fit(x, table.ids)
    assert retriever.retrieve(x, k=2)[0].shape == (3, 2)


def test_what_is_trained_from_it_is_the_corrected_network(plain, hashed):
    encoder = load(trained(plain.atms_layers(**SMALL)).state_dict())
    fresh = clone(encoder).set_params(max_epochs=1, random_state=0)
    x = hashed(6, 5, 90)
    assert fresh.fit(x, hashed(6, 16)).net_.criterion_.clip.temperature_mode == "learnable"
    assert type(fresh.net_.module_).__name__ == "ATM"


def test_a_new_subject_is_calibrated_to_the_published_network(plain, hashed):
    table = EmbeddingTable([f"s{i}" for i in range(8)], hashed(8, 16))
    encoder = load(trained(plain.atms_layers(**SMALL)).state_dict(), targets=table)
    x = hashed(16, 5, 90)
    before = encoder.transform(x, subject="sub-04")
    encoder.calibrate(x, np.repeat(table.ids, 2), subject="sub-11", max_epochs=2)
    assert encoder.subjects_[-1] == "sub-11"
    assert type(encoder.net_.module_).__name__ == "ReferenceATMS"
    np.testing.assert_allclose(encoder.transform(x, subject="sub-04"), before, rtol=1e-4, atol=1e-5)


def test_attention_of_the_published_network(plain, hashed):
    encoder = load(trained(plain.atms_layers(**SMALL)).state_dict())
    attention = encoder.attention(hashed(3, 5, 90))
    assert attention.shape == (3, 4, 5, 5)
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)
    over_time = load(trained(plain.atme_layers(**SMALL)).state_dict())
    with pytest.raises(TypeError, match="ATME has no attention between channels"):
        over_time.attention(hashed(3, 5, 90))


def test_channels_of_things_eeg2_are_compared_by_name(plain, hashed):
    import mne

    encoder = load(plain.nice_layers(n_outputs=8).state_dict())
    assert (encoder.ch_names_[0], encoder.ch_names_[-1]) == ("Fp1", "O2")
    info = mne.create_info(list(encoder.ch_names_[::-1]), 250.0, "eeg")
    epochs = mne.EpochsArray(1e-5 * hashed(2, 63, 250), info, verbose=False)
    with pytest.raises(ValueError, match="X has channel 'O2' in place 0"):
        encoder.transform(epochs)
    assert encoder.transform(epochs.reorder_channels(encoder.ch_names_)).shape == (2, 8)
    assert load(plain.nice_layers(**SMALL).state_dict()).ch_names_ is None


@pytest.mark.parametrize(("name", "other"), [("NICE", 254), ("EEGNetv4", 223)])
def test_lengths_that_the_weights_do_not_tell(plain, name, other):
    state = plain.LAYERS[name](n_outputs=8, n_chans=4, n_times=250).state_dict()
    assert load(state).n_times_in_ == 250
    assert load(state, n_times=other).n_times_in_ == other
    assert load(plain.LAYERS[name](n_outputs=8, n_chans=4, n_times=201).state_dict()).n_times_in_ == 201
    with pytest.raises(ValueError, match="has shape .*, but the other weights ask for"):
        load(state, n_times=400)


# -- where the weights lie -------------------------------------------------------------------------------


def wrapped(state):
    return {
        "as it is": state,
        "numpy": {key: value.numpy() for key, value in state.items()},
        "half precision": {
            key: value.half() if value.is_floating_point() else value for key, value in state.items()
        },
        "DataParallel": {f"module.{key}": value for key, value in state.items()},
        "compiled and wrapped": {f"_orig_mod.module.{key}": value for key, value in state.items()},
        "in an entry": {"state_dict": state, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        "in another entry": {"eeg_model": state, "epoch": 3},
        "beside other weights": {"ema": {"decay": torch.ones(1)}, "model_state_dict": state},
        "lightning": {"state_dict": {f"model.{key}": value for key, value in state.items()}},
    }


@pytest.mark.parametrize("how", wrapped({}))
def test_wrappers_and_prefixes(plain, hashed, how, tmp_path):
    state, x = trained(plain.nice_layers(**SMALL)).state_dict(), hashed(3, 5, 90)
    expected, source = load(state).transform(x), wrapped(state)[how]
    tolerance = 0.05 if how == "half precision" else 0
    np.testing.assert_allclose(load(source, n_times=90).transform(x), expected, atol=tolerance)
    if how != "numpy":
        torch.save(source, tmp_path / "weights.pth")
        np.testing.assert_allclose(load(tmp_path / "weights.pth").transform(x), expected, atol=tolerance)


def test_safetensors(plain, hashed, tmp_path):
    from safetensors.torch import save_file

    state, x = trained(plain.nice_layers(**SMALL)).state_dict(), hashed(3, 5, 90)
    save_file(state, tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(
        load(str(tmp_path / "weights.safetensors")).transform(x), load(state).transform(x)
    )


class Payload:
    """What an attacker would put into a pickle."""

    def __reduce__(self):
        return print, ("this must never run",)


def test_files_that_hold_code_are_not_opened(tmp_path, capsys):
    torch.save({"state_dict": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="bad.pth holds more than weights"):
        load(tmp_path / "bad.pth")
    (tmp_path / "worse.pt").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="worse.pt holds more than weights"):
        load(tmp_path / "worse.pt")
    assert "never run" not in capsys.readouterr().out


def test_files_that_are_cut_short(plain, tmp_path):
    from safetensors.torch import save_file

    state = plain.nice_layers(**SMALL).state_dict()
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for n_bytes in (0, 5, 2000, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:n_bytes])
            with pytest.raises(ValueError, match=f"{name} (is not a whole|holds more than)"):
                load(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("absent.pth", FileNotFoundError, "there is no file absent.pth"),
        (3, TypeError, "path_or_state_dict must be a path or a state dict, got int"),
        (torch.nn.Linear(2, 2), TypeError, r"is the network itself \(Linear\); pass its state_dict"),
        ({}, ValueError, "holds a dict with the entries"),
        ({"epoch": 3, "args": {}}, ValueError, "a dict with the entries 'epoch', 'args', not one state dict"),
    ],
)
def test_what_is_no_checkpoint(source, error, match):
    with pytest.raises(error, match=match):
        load(source)


def test_unknown_and_incomplete_checkpoints_say_what_is_wrong(plain):
    state = plain.atms_layers(**SMALL).state_dict()
    some = dict(list(state.items())[:30])
    with pytest.raises(
        ValueError, match=r"The nearest is ATMS: 23 of its keys are missing \('.+', \.\.\.\)\."
    ):
        load(some)
    with pytest.raises(ValueError, match=r"The nearest is ATMS: 2 keys are left over \('more', 'last'\)\."):
        load(state | {"more": torch.ones(2), "last": torch.ones(2)})
    swapped = {("other" if key == "logit_scale" else key): value for key, value in state.items()}
    with pytest.raises(
        ValueError,
        match=r"1 of its keys are missing \('logit_scale'\) and 1 keys are left over \('other'\)",
    ):
        load(swapped)
    with pytest.raises(ValueError, match=r"none of its 2 keys \('a', 'b'\) is one of a published network"):
        load({"a": torch.ones(2), "b": torch.ones(2)})


def test_weights_that_do_not_belong_together(plain):
    state = plain.nice_layers(**SMALL).state_dict()
    state["proj_eeg.2.weight"] = torch.ones(7)
    with pytest.raises(ValueError, match=r"'proj_eeg.2.weight' has shape \(7,\), but .* ask for \(16,\)"):
        load(state)
    state["enc_eeg.0.tsconv.4.weight"] = torch.ones(7)
    with pytest.raises(ValueError, match="has the keys of NICE, but its weights have other shapes than any"):
        load(state)
    query = "encoder.encoder.attn_layers.0.attention.query_projection.weight"
    for key in (query, "encoder.enc_embedding.position_embedding.pe"):
        state = plain.atms_layers(**SMALL).state_dict() | {key: torch.tensor(1.0)}
        with pytest.raises(ValueError, match="has the keys of ATMS, but its weights have other shapes"):
            load(state)


def test_weights_of_a_run_that_diverged(plain):
    state = plain.nice_layers(**SMALL).state_dict()
    state["proj_eeg.2.bias"][3] = torch.nan
    with pytest.raises(ValueError, match="'proj_eeg.2.bias' holds NaN or inf"):
        load(state)


def test_another_table_of_positions(plain):
    state = plain.atms_layers(**SMALL).state_dict()
    state["encoder.enc_embedding.position_embedding.pe"] = torch.zeros(1, 5000, 90)
    with pytest.raises(ValueError, match="position_embedding.pe' is not the table of sines and cosines"):
        load(state)
