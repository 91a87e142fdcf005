from __future__ import annotations

import mne
import numpy as np
import pytest
from mne import EpochsArray

from skeegclip import EpochsView
from skeegclip.datasets._montages import eeg_info, meg_info
from skeegclip.epochs import regions
from skeegclip.epochs.sites import THINGS_EEG_CHANNELS
from skeegclip.preprocessing import PickChannels


def sizes(found):
    return {region: len(names) for region, names in found.items()}


def flat(found):
    return {name: region for region, names in found.items() for name in names}


def agreement(a, b):
    a, b = flat(a), flat(b)
    return np.mean([a[name] == b[name] for name in a])


def test_the_five_of_the_paper_for_its_montage():
    found = regions(THINGS_EEG_CHANNELS)
    assert sizes(found) == {"frontal": 15, "central": 10, "temporal": 14, "parietal": 16, "occipital": 8}
    assert set(flat(found)) == set(THINGS_EEG_CHANNELS)
    assert found["occipital"] == ["PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2"]
    assert found["temporal"][:4] == ["FT9", "FT7", "FC5", "FC6"]
    assert regions(eeg_info(100.0)) == found


def test_by_the_letters_of_10_10_names():
    found = regions(THINGS_EEG_CHANNELS, "10-10")
    assert sizes(found) == {"frontal": 15, "central": 21, "temporal": 10, "parietal": 9, "occipital": 8}


def test_another_cap_goes_by_its_names():
    cap = mne.channels.make_standard_montage("biosemi64").ch_names  # has Fz, which THINGS-EEG2 has not
    assert regions(cap) == regions(cap, "10-10")
    assert flat(regions(["fp1", "FZ", "Oz"])) == {"fp1": "frontal", "FZ": "frontal", "Oz": "occipital"}


def test_names_of_10_05_go_with_the_row_before_them():
    found = flat(regions(["FFC1h", "FCC3h", "TPP7h", "CPP2h", "PPO1h", "POO9h", "OI1h", "AFp1"]))
    assert list(found.values()).count("occipital") == 2
    assert (found["FFC1h"], found["TPP7h"], found["PPO1h"], found["CPP2h"]) == (
        "frontal",
        "temporal",
        "parietal",
        "central",
    )


@pytest.mark.parametrize("montage", ["biosemi64", "easycap-M1", "colin27_1020"])
def test_positions_tell_what_names_tell(montage):
    cap = mne.channels.make_standard_montage(montage)
    ears = {"A1", "A2", "M1", "M2"}
    info = mne.create_info([name for name in cap.ch_names if name not in ears], 100.0, "eeg").set_montage(cap)
    assert agreement(regions(info, "10-10"), regions(info, "position")) >= 0.95


def of_montage(name):
    cap = mne.channels.make_standard_montage(name)
    return mne.create_info(cap.ch_names, 100.0, "eeg", verbose=False).set_montage(cap, verbose=False)


def by_letters(name):
    """The definition of the 10-10 system's rows, written out."""
    row = name.upper().rstrip("0123456789ZH")
    rows = {
        "FP": "frontal",
        "AF": "frontal",
        "F": "frontal",
        "FT": "temporal",
        "T": "temporal",
        "TP": "temporal",
    }
    rows |= {"FC": "central", "C": "central", "CP": "central", "P": "parietal"}
    return (rows | {"PO": "occipital", "O": "occipital", "I": "occipital"}).get(row)


SYSTEMS = [*mne.channels.get_builtin_montages(), "ctf151", "ctf275", "neuromag"]


def of_system(name):
    return of_montage(name) if name in SYSTEMS[:-3] else mne.channels.read_meg_canonical_info(name)


@pytest.mark.parametrize("scheme", ["auto", "position"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_region_does_not_depend_on_company(name, scheme):
    info = of_system(name)
    whole = flat(regions(info, scheme))
    assert set(whole) == set(info.ch_names)
    rng = np.random.default_rng(0)
    parts = [
        [channel for channel in info.ch_names if whole[channel] == region] for region in set(whole.values())
    ]
    parts += [rng.permutation(info.ch_names)[: rng.integers(1, 12)].tolist() for _ in range(5)]
    for part in parts:
        found = regions(mne.pick_info(info, mne.pick_channels(info.ch_names, part, ordered=False)), scheme)
        assert flat(found).items() <= whole.items()


@pytest.mark.parametrize("name", ["biosemi128", "easycap-M43", "GSN-HydroCel-128", "mgh60", "spherical_1010"])
def test_a_cap_of_fewer_electrodes_has_the_same_regions(name):
    cap = mne.channels.make_standard_montage(name)
    whole = flat(regions(of_montage(name), "position"))
    for start in range(0, len(cap.ch_names), 5):
        few = mne.create_info(cap.ch_names[start : start + 7 : 3], 100.0, "eeg").set_montage(cap)
        assert flat(regions(few, "position")).items() <= whole.items()


@pytest.mark.parametrize("name", SYSTEMS)
def test_left_is_as_right(name):
    info = of_system(name)
    places = np.array([ch["loc"][:3] for ch in info["chs"]])
    found = flat(regions(info, "position"))
    found = np.array([found[channel] for channel in info.ch_names])
    apart = np.linalg.norm(places[:, None] * [-1, 1, 1] - places, axis=2)
    channels, mirrored = np.nonzero(apart < 1e-6)
    assert (found[channels] == found[mirrored]).all()
    if name.startswith(("biosemi", "GSN", "easycap", "spherical")):
        assert len(channels) > 0.9 * len(places)


@pytest.mark.parametrize("name", ["biosemi64", "easycap-M1", "colin27_1020", "brainproducts-RNP-BA-128"])
def test_regions_are_those_of_the_letters(name):
    info = of_montage(name)
    wanted = {channel: region for channel in info.ch_names if (region := by_letters(channel))}
    old = {"T5": "parietal", "T6": "parietal"}  # of the 10-20 system: P7 and P8
    found = flat(regions(info))
    ten_ten = {c: old.get(c, region) for c, region in wanted.items() if not c.endswith("h")}
    assert {channel: found[channel] for channel in ten_ten} == ten_ten
    by_place = flat(regions(info, "position"))
    assert np.mean([by_place[c] == region for c, region in ten_ten.items()]) >= 0.97


def test_the_montage_of_the_paper_in_parts():
    info = eeg_info(100.0)
    whole = regions(info)
    for region, names in whole.items():
        part = mne.pick_info(info, [info.ch_names.index(name) for name in names])
        assert regions(part)[region] == names


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("EEG Fp1-Ref", "frontal"),
        ("EEG FP1-LE", "frontal"),
        ("Fp1-A2", "frontal"),
        ("Fc5.", "central"),
        ("Cz..", "central"),
        ("FZ", "frontal"),
        ("T3", "temporal"),
        ("T4-Ref", "temporal"),
        ("T5", "parietal"),
        ("EEG T6", "parietal"),
        ("POL O1", "occipital"),
        ("Oz-0", "occipital"),
        ("EEG-P3", "parietal"),
        ("P3-P7", "parietal"),
        ("Iz", "occipital"),
    ],
)
def test_names_as_files_write_them(name, region):
    assert regions([name])[region] == [name]
    info = mne.create_info(["x", name, "STI"], 100.0, ["misc", "eeg", "stim"])
    assert EpochsView.from_arrays(np.zeros((2, 3, 4)), info=info).pick(region).ch_names == (name,)


@pytest.mark.parametrize(
    "name", ["EEG 001", "EEG001", "E1", "A1", "M2", "Fpz-Cz", "F7-T3", "C3'", "ECG", "Status"]
)
def test_what_is_no_name_of_one_site(name):
    with pytest.raises(ValueError, match="1 of 1 cannot be assigned"):
        regions([name])


def test_numbered_electrodes_go_by_position():
    cap = mne.channels.make_standard_montage("mgh60")  # EEG001, ...
    other = mne.channels.make_standard_montage("easycap-M10")  # 1, 2, ...
    for montage in (cap, other):
        info = of_montage("mgh60" if montage is cap else "easycap-M10")
        place = montage.get_positions()["ch_pos"]
        found = regions(info)
        assert max(place[name][1] for name in found["occipital"]) < min(
            place[name][1] for name in found["frontal"]
        )


@pytest.mark.parametrize("name", ["biosemi128", "biosemi160", "biosemi256"])
def test_the_letters_of_biosemi_are_no_sites(name):
    info = of_montage(name)
    shared = [f"{letter}{number}" for letter in "CF" for number in range(1, 7)]
    alone = mne.pick_info(
        info, [info.ch_names.index(channel) for channel in shared if channel in info.ch_names]
    )
    assert flat(regions(alone)).items() <= flat(regions(info, "position")).items()
    with pytest.raises(ValueError, match="cannot be assigned"):
        regions(["B1", "C1", "C2", "D23"])  # no positions
    letters = EpochsView.from_arrays(
        np.zeros((1, 4, 2)), info=mne.create_info(["B1", "C1", "F2", "Cz"], 100.0, "eeg")
    )
    assert letters.pick("central").ch_names == ("Cz",)
    with pytest.raises(ValueError, match=r"3 of 4 .*'B1', 'C1', 'F2'"):
        letters.pick("frontal")
    ten_ten = flat(regions(of_montage("biosemi64")))
    assert (ten_ten["C1"], ten_ten["F5"]) == ("central", "frontal")


@pytest.mark.parametrize("origin", [(0, 0.005, 0.034), (0, 0, 0)], ids=["sphere", "ears"])
def test_positions_without_landmarks(origin):
    """As EEGLAB writes them, from the centre of a sphere: the electrodes of the whole cap tell where the head is."""
    cap = mne.channels.make_standard_montage("GSN-HydroCel-128")
    want = flat(regions(of_montage("GSN-HydroCel-128")))
    in_head = {ch["ch_name"]: ch["loc"][:3] for ch in of_montage("GSN-HydroCel-128")["chs"]}
    moved = mne.channels.make_dig_montage(
        {name: at - origin for name, at in in_head.items()}, coord_frame="head"
    )
    info = mne.create_info(cap.ch_names, 100.0, "eeg").set_montage(moved)
    found = flat(regions(info))
    assert np.mean([found[name] == want[name] for name in want]) > 0.85
    part = mne.pick_info(info, range(0, 128, 9))
    assert flat(regions(part)).items() <= found.items()


def test_channels_without_a_type_go_by_name():
    assert regions(mne.create_info(["Fz", "Oz"], 100.0))["occipital"] == ["Oz"]


def test_only_data_channels_are_looked_at():
    kinds = ["eeg", "eog", "stim", "misc", "eeg", "ecg"]
    info = mne.create_info(["Fz", "EOG", "STI 014", "Cz", "Oz", "ECG"], 100.0, kinds)
    assert flat(regions(info)) == {"Fz": "frontal", "Oz": "occipital"}
    assert PickChannels("occipital").fit_transform(
        EpochsArray(np.zeros((2, 6, 5)), info, verbose=False)
    ).ch_names == ["Oz"]


def test_a_region_needs_its_own_members_only():
    info = mne.create_info(["Fz", "M1", "Oz", "strange"], 100.0, "eeg")
    view = EpochsView.from_arrays(np.arange(4.0)[None, :, None], info=info)
    assert view.pick("occipital").ch_names == ("Oz",)
    assert view.pick(["occipital", "M1"]).ch_names == ("Oz", "M1")
    with pytest.raises(ValueError, match="2 of 4 cannot be assigned"):
        view.pick("parietal")  # "strange" may be one


def test_a_head_that_was_measured_says_more_than_its_helmet():
    """Sensors of a real helmet, 20 mm further back over the head: some become parietal that were occipital."""
    info = mne.channels.read_meg_canonical_info("neuromag")
    counts = []
    for forward in (0.0, 0.02):
        with info._unlock():
            trans = np.eye(4)
            trans[:3, 3] = 0.0, forward, 0.055  # as measured in most recordings, in metres
            info["dev_head_t"] = mne.transforms.Transform("meg", "head", trans)
        counts.append(sizes(regions(info))["occipital"])
    assert counts[1] < counts[0]


def test_caps_with_names_of_their_own_go_by_position():
    for montage in ("biosemi128", "GSN-HydroCel-128"):
        cap = mne.channels.make_standard_montage(montage)
        info = mne.create_info(cap.ch_names, 100.0, "eeg").set_montage(cap)
        found = regions(info)
        assert found == regions(info, "position")  # BioSemi's C1 is no site of the 10-10 system
        place = cap.get_positions()["ch_pos"]
        back = [place[name][1] for name in found["occipital"]]
        front = [place[name][1] for name in found["frontal"]]
        assert max(back) < min(front)
        for both_sides in (found["occipital"], found["temporal"]):
            assert abs(np.mean([place[name][0] for name in both_sides])) < 0.01  # m


def test_ears_go_by_position_where_there_is_one():
    info = mne.create_info(["Cz", "Oz", "Fz", "M1"], 100.0, "eeg").set_montage("colin27_1005")
    assert flat(regions(info))["M1"] == "temporal"
    with pytest.raises(ValueError, match=r"1 of 4 cannot be assigned .*'auto' \('M1'\)"):
        regions(["Cz", "Oz", "Fz", "M1"])


def test_ctf_sensors_carry_their_region_in_their_names():
    info = meg_info(200.0, np.zeros(3))
    found = regions(info)
    assert found == regions(info.ch_names)
    assert sum(sizes(found).values()) == 271
    assert all(name[2] == "O" for name in found["occipital"])
    assert min(sizes(found).values()) > 30


def test_meg_by_position():
    small = mne.channels.read_meg_canonical_info("ctf151")  # other places than the 275 that are compared with
    assert agreement(regions(small, "ctf"), regions(small, "position")) > 0.9
    neuromag = mne.channels.read_meg_canonical_info("neuromag")
    found = flat(regions(neuromag))
    assert len(found) == 306
    for lobe in ("temporal", "occipital", "frontal"):
        lobe_names = mne.read_vectorview_selection([f"Left-{lobe}", f"Right-{lobe}"])
        assert np.mean([found[name] == lobe for name in lobe_names]) > 0.6
    # mne's parietal selection holds the central sensors too.
    parietal = mne.read_vectorview_selection(["Left-parietal", "Right-parietal"])
    assert {found[name] for name in parietal} == {"central", "parietal"}


def test_a_turned_head_moves_the_regions():
    info = mne.channels.read_meg_canonical_info("ctf151")
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # the person looks the other way
    with info._unlock():
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", turn)
    found = regions(info, "position")
    assert all(name[2] != "O" for name in found["occipital"])


def test_eeg_and_meg_together():
    eeg = mne.create_info(["Oz", "Fz"], 100.0, "eeg")
    info = mne.channels.read_meg_canonical_info("ctf151")
    both = info.copy()
    with both._unlock():
        both["chs"] = [*info["chs"], *eeg["chs"]]
        both._update_redundant()
    found = regions(both)
    assert found["occipital"][-1] == "Oz"
    assert sum(sizes(found).values()) == 153


@pytest.mark.parametrize(
    ("channels", "scheme", "error", "match"),
    [
        (["Oz"], "lobes", ValueError, "scheme must be one of"),
        (["Oz"], "position", ValueError, "needs positions, got names only"),
        (
            ["Oz", "Fz"],
            "things",
            ValueError,
            r"1 of 2 cannot be assigned to a region with scheme='things' \('Fz'\)",
        ),
        (["E1", "E2", "E3", "E4"], "auto", ValueError, r"4 of 4 .*\('E1', 'E2', 'E3', ...\)"),
        (mne.create_info(["E1"], 100.0, "eeg"), "auto", ValueError, "set_montage"),
        (mne.create_info(["Oz", "deep"], 100.0, ["eeg", "seeg"]), "auto", ValueError, "'deep'"),
        ("Oz", "auto", TypeError, "must be a sequence of channel names or an mne.Info"),
        ([1, 2], "auto", TypeError, "must be a sequence"),
    ],
)
def test_what_cannot_be_assigned_is_named(channels, scheme, error, match):
    with pytest.raises(error, match=match):
        regions(channels, scheme)


# -- EpochsView.pick --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def view():
    return EpochsView.from_arrays(np.arange(63.0)[None, :, None], info=eeg_info(100.0))


def test_pick_takes_regions_channels_and_both(view):
    assert view.pick("occipital").ch_names == ("PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2")
    assert view.pick("Oz").ch_names == ("Oz",)
    assert view.pick(["Cz", "occipital", "Oz", 0]).ch_names == ("Cz", *view.pick("occipital").ch_names, "Fp1")
    np.testing.assert_array_equal(
        np.asarray(view.pick("parietal"))[0, :, 0], [*range(37, 44), *range(46, 55)]
    )


def test_the_17_channels_of_later_work(view):
    names = view.pick("occipito-parietal").ch_names
    assert len(names) == 17
    assert set(names) == {n for n in THINGS_EEG_CHANNELS if n.startswith(("P", "O"))}
    with pytest.raises(KeyError, match="of 'occipito-parietal', P7, P5, .* are not among"):
        view.pick("occipital").pick("occipito-parietal")


def test_regions_of_a_picked_view_are_those_of_its_montage(view):
    part = view.pick(["CP1", "Oz", "Cz"])
    assert part.pick("parietal").ch_names == ("CP1",)
    assert part.pick(["central", "occipital"]).ch_names == ("Cz", "Oz")
    with pytest.raises(KeyError, match="no channel of this view lies in region 'frontal'"):
        part.pick("frontal")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("ocipital", "Did you mean 'occipital'"),
        ("POZ", "Did you mean 'POz'"),
        ("xyz", r"'xyz' is not among this view's channels \(Fp1, Fp2, .*63 in all\), nor a region \(frontal"),
    ],
)
def test_unknown_names_are_told_of(view, name, match):
    with pytest.raises(KeyError, match=match):
        view.pick(name)


def test_without_names_only_positions_can_be_picked():
    view = EpochsView.from_arrays(np.zeros((1, 3, 2)))
    assert view.pick([2, 0]).shape == (1, 2, 2)
    with pytest.raises(KeyError, match="this view has no channel names"):
        view.pick("occipital")
