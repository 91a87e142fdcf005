"""Peak of anonymous memory while a data set as large as EEGDash's nm000232 is streamed into a store.

    python examples/benchmarks/streamed_memory.py --recordings 638 --seconds 10

A server on this machine has so many recordings of 63 channels at 1000 Hz (BDF), a picture each 200 ms, in the layout and
with the list of files of NEMAR; the one in the middle lasts as long as the real ones, 1100 s. A process streams them with
the default settings, is killed half-way, and goes on; both of its lives are measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

N_CHANS, RATE, LONG = 63, 1000, 1100


def bdf(n_seconds: int, names: tuple[str, ...]) -> bytes:
    """Make a recording: BioSemi's format, 24 bits."""
    n = len(names)

    def texts(values, width):
        return "".join(f"{value!s:<{width}}" for value in values).encode("ascii")

    header = b"\xffBIOSEMI" + texts(["X X X X", "Startdate X X X X"], 80) + b"01.01.0100.00.00"
    header += texts([256 * (n + 1)], 8) + texts(["24BIT"], 44) + texts([n_seconds, 1], 8) + texts([n], 4)
    header += texts(names, 16) + texts([""] * n, 80) + texts(["uV"] * n, 8) + texts([-1000] * n, 8)
    header += texts([1000] * n, 8) + texts([-(2**23)] * n, 8) + texts([2**23 - 1] * n, 8)
    header += texts([""] * n, 80) + texts([RATE] * n, 8) + texts([""] * n, 32)
    second = np.random.default_rng(0).normal(0, 1e5, (n, RATE)).astype("<i4")
    return header + second.view("u1").reshape(-1, 4)[:, :3].tobytes() * n_seconds


def events(n_seconds: int) -> bytes:
    """Make the table of its pictures."""
    head = "onset\tduration\ttrial_type\ttot_img_number\tcategory_name\n"
    onsets = np.arange(1, n_seconds - 2, 0.2)
    lines = [f"{onset:.3f}\t0.1\timage\t{k % 16540 + 1}\t00001_aardvark\n" for k, onset in enumerate(onsets)]
    return (head + "".join(lines)).encode()


def serve(n_recordings: int, n_seconds: int) -> str:
    """Serve a data set; returns the address."""
    from skeegclip.epochs.sites import THINGS_EEG_CHANNELS

    short, long = ((bdf(n, THINGS_EEG_CHANNELS), events(n)) for n in (n_seconds, LONG))
    files = {}
    for number in range(n_recordings):
        subject, session = f"sub-{number // 64 + 1:02d}", f"ses-{number // 16 % 4 + 1:02d}"
        stem = f"{subject}/{session}/eeg/{subject}_{session}_task-train_run-{number % 16 + 1:02d}"
        recording, table = long if number == n_recordings // 2 else short
        files |= {f"{stem}_eeg.bdf": recording, f"{stem}_events.tsv": table}
    digests = {id(content): hashlib.sha256(content).hexdigest() for content in files.values()}
    listed = [
        {"path": name, "size": len(content), "checksum_algorithm": "sha256", "checksum": digests[id(content)]}
        for name, content in files.items()
    ]
    answers = {
        "/nm000232/": b'{"latest": "v1.0.0"}',
        "/nm000232/v1.0.0/manifest.json": json.dumps(listed).encode(),
        **{f"/nm000232/v1.0.0/{name}": content for name, content in files.items()},
    }

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            content = answers[unquote(urlsplit(self.path).path)]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def stream(address: str, out: str) -> None:
    """What is measured."""
    from skeegclip.datasets import stream_eegdash

    stream_eegdash("nm000232", out, nemar=address, verbose=0)


def measured(address: str, out: Path, stop_at: int | None) -> tuple[float, float]:
    """Run it in a process, killed once so many recordings are there; returns peak of anonymous memory in MB, seconds."""
    from skeegclip import EpochsStore

    start, peak = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, __file__, "--stream", address, str(out)])
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peak = max(
            [peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))]
        )
        if stop_at and (out / "manifest.json").exists() and len(EpochsStore.open(out).origins) >= stop_at:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(0.05)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit("it failed")
    return peak / 1e3, time.perf_counter() - start


def main() -> None:
    """Measure both lives, and look at what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=638)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--stream", nargs=2, metavar=("ADDRESS", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stream:
        stream(*args.stream)
        return
    from skeegclip import EpochsStore

    address = serve(args.recordings, args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "store"
        for stop_at in (args.recordings // 3, None):
            peak, seconds = measured(address, out, stop_at)
            store = EpochsStore.open(out)
            print(
                f"{'killed' if stop_at else 'whole'} after {seconds:.0f} s with {len(store.origins)} recordings,"
                f" {len(store)} epochs: at most {peak:.0f} MB of anonymous memory",
                flush=True,
            )
        assert len(store.origins) == args.recordings
        store.verify()


if __name__ == "__main__":
    main()
