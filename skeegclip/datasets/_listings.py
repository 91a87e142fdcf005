"""What there is to download, with sizes and hashes, as the places of publication tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from ._download import Remote

OSF = "https://api.osf.io/v2"
OPENNEURO = "https://s3.amazonaws.com/openneuro.org"
NEMAR = "https://data.nemar.org"
_HASHES = ("sha256", "md5", "git")
_TIMEOUT = 60


def hub_files(repo: str, paths: Sequence[str], endpoint: str | None) -> list[Remote]:
    """List files of a data set on the Hugging Face hub."""
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi(endpoint=endpoint)
    try:
        found = api.get_paths_info(repo, list(paths), repo_type="dataset")
    except OfflineModeIsEnabled:
        raise ConnectionError(
            "the hub is offline (HF_HUB_OFFLINE is set). Unset it, or pass offline=True to use what is on disk."
        ) from None
    except (
        Exception
    ) as error:  # of one of the three HTTP libraries that versions of huggingface_hub are built on
        raise _unreachable(f"the data set {repo} on the hub", error) from error
    by_path: dict[str, Any] = {file.path: file for file in found}
    absent = [path for path in paths if path not in by_path]
    if absent:
        raise FileNotFoundError(
            f"{', '.join(absent)} not found in the data set {repo} on the hub. Has it changed?"
        )
    return [
        Remote(
            path,
            hf_hub_url(repo, path, repo_type="dataset", endpoint=api.endpoint),
            by_path[path].size,
            f"sha256:{by_path[path].lfs.sha256}" if by_path[path].lfs else None,
        )
        for path in paths
    ]


def osf_files(node: str, base: str) -> list[Remote]:
    """List all files of an OSF component."""
    return list(_osf_folder(f"{base}/nodes/{node}/files/osfstorage/?page[size]=100", ""))


def _osf_folder(url: str | None, prefix: str) -> Iterator[Remote]:
    while url:
        page = _get(url).json()
        for item in page["data"]:
            facts = item["attributes"]
            name = prefix + facts["name"]
            if facts["kind"] == "folder":
                yield from _osf_folder(item["relationships"]["files"]["links"]["related"]["href"], f"{name}/")
                continue
            hashes = facts.get("extra", {}).get("hashes", {})
            known = [f"{kind}:{hashes[kind]}" for kind in ("sha256", "md5") if hashes.get(kind)]
            yield Remote(name, item["links"]["download"], facts.get("size"), known[0] if known else None)
        url = page.get("links", {}).get("next")


def s3_files(prefix: str, base: str) -> list[Remote]:
    """List the objects of a public bucket whose keys begin with `prefix`."""
    from xml.etree import ElementTree as ET

    files: list[Remote] = []
    token = ""
    while True:
        page = _get(
            f"{base}?list-type=2&prefix={quote(prefix)}{token and '&continuation-token=' + quote(token, safe='')}"
        )
        tree = ET.fromstring(page.content)
        space = tree.tag.partition("}")[0] + "}" if tree.tag.startswith("{") else ""
        for entry in tree.iter(f"{space}Contents"):
            key, size, etag = (entry.findtext(f"{space}{field}", "") for field in ("Key", "Size", "ETag"))
            mark = etag.strip('"')
            # Of a file that was uploaded in several parts the mark is no hash.
            hash_ = None if "-" in mark or not mark else f"md5:{mark}"
            files.append(Remote(key, f"{base}/{quote(key)}", int(size), hash_, etag or None))
        token = tree.findtext(f"{space}NextContinuationToken", "")
        if not token:
            return files


def nemar_files(dataset: str, base: str) -> list[Remote]:
    """List the files of the latest version of a data set of NEMAR."""
    version = _get(f"{base}/{dataset}/").json()["latest"]
    if not version:
        raise FileNotFoundError(f"{dataset} has no version yet at {base}.")
    place = f"{base}/{dataset}/{version}"
    files = []
    for entry in _get(f"{place}/manifest.json").json():
        kind = str(entry.get("checksum_algorithm", "")).lower()
        hash_ = f"{kind}:{entry['checksum']}" if kind in _HASHES and entry.get("checksum") else None
        # Not the address in the list, which may be good for an hour only: this one leads to where the file is.
        files.append(Remote(entry["path"], f"{place}/{quote(entry['path'])}", int(entry["size"]), hash_))
    return files


def _get(url: str) -> Any:
    import requests

    try:
        response = requests.get(url, timeout=_TIMEOUT)
        response.raise_for_status()
    except requests.RequestException as error:
        raise _unreachable(url, error) from error
    return response


def _unreachable(what: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"{what} cannot be reached ({type(error).__name__}: {error}). Try again later, or pass offline=True to use"
        " what is on disk."
    )
