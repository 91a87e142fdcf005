"""What the links of git-annex tell."""

import os

import pytest

from skeegclip.datasets._annex import annex_key, local_file

SHA = "71d01f08a7a77e60daa05bbfa8bf4ea5290a5f1bb52a397a72548fd16ccb0238"
MD5 = "85b8c1dd0fdf34d7dfc0852e10d07b7d"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        # As they are in nm000134 (a link), nm000232 (text that stands for one) and ds003825.
        (
            f"../../../.git/annex/objects/Qg/XZ/SHA256E-s4877128--{SHA}.edf/SHA256E-s4877128--{SHA}.edf",
            (f"SHA256E-s4877128--{SHA}.edf", 4877128, f"sha256:{SHA}"),
        ),
        (f"/annex/objects/SHA256E-s5--{SHA}.bdf\n", (f"SHA256E-s5--{SHA}.bdf", 5, f"sha256:{SHA}")),
        (
            f"../.git/annex/objects/z4/xw/MD5E-s7--{MD5}.csv/MD5E-s7--{MD5}.csv",
            (f"MD5E-s7--{MD5}.csv", 7, f"md5:{MD5}"),
        ),
        (
            f".git/annex/objects/a/b/SHA256-s1--{SHA}/SHA256-s1--{SHA}",
            (f"SHA256-s1--{SHA}", 1, f"sha256:{SHA}"),
        ),
        ("../elsewhere/recording.edf", None),
        (f"somewhere/MD5E-s7--{MD5}.csv", None),
        (".git/annex/objects/a/b/WORM-s3-m1--x/WORM-s3-m1--x", None),
        ("", None),
    ],
)
def test_keys(link, expected):
    assert annex_key(link) == expected


def test_files_that_are_here(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    os.symlink(f".git/annex/objects/x/y/MD5E-s7--{MD5}.csv/MD5E-s7--{MD5}.csv", tmp_path / "b.csv")
    plain, link = local_file(tmp_path, "a.txt"), local_file(tmp_path, "b.csv")
    assert (plain.name, plain.url, plain.size, plain.hash) == ("a.txt", "", None, None)
    assert (link.name, link.url, link.size, link.hash) == ("b.csv", "", 7, f"md5:{MD5}")
