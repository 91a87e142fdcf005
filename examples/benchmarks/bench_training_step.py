"""Time one training step against the same network written layer by layer, or as braindecode has it.

Runs forward, CLIP loss, backward and AdamW on random epochs, the contenders taking turns, and prints the median time
of each and how many times faster it is than the layer-by-layer network in float32. The step of skeegclip is the one
that EEGEncoder takes: its loss knows the stimuli, its optimizer is fused, and no step waits for the loss.

    python examples/benchmarks/bench_training_step.py --batch 256 --threads 2 --repeats 7
    python examples/benchmarks/bench_training_step.py --profile
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from functools import partial

from turns import in_turns, show

import torch  # isort: skip
from plain_training import make_training, train_step

from skeegclip.losses import ClipLoss
from skeegclip.nets import get_net
from skeegclip.nets.build import build_net

NETS = ["atm-s", "nice", "eegproject", "mlp", "eegnet", "eegconformer"]


def plain_step(name, x, target, *, bf16=False):
    """Return the step of the plain script."""
    step = partial(train_step, *make_training(name, target.shape[1], *x.shape[1:], device=x.device))
    return partial(step, x, target, bf16=bf16)


def fast_step(name, x, target, *, bf16=False, compiled=False):
    """Return the step of skeegclip."""
    cls, params = get_net(name, x.shape[2])
    sizes = {"n_outputs": target.shape[1], "n_chans": x.shape[1], "n_times": x.shape[2], "sfreq": 250.0}
    net, criterion = build_net(cls, {**sizes, **params}).to(x.device), ClipLoss().to(x.device)
    optimizer = torch.optim.AdamW([*net.parameters(), *criterion.parameters()], lr=3e-4, fused=True)
    stimulus = torch.arange(len(x), device=x.device)
    if compiled:
        net.compile()

    def step():
        optimizer.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16) if bf16 else nullcontext():
            z = net(x)
        criterion(z.float(), target, stimulus).backward()
        optimizer.step()
        if x.is_cuda:
            torch.cuda.synchronize()

    return step


def profile(step, n_rows):
    """Print where the time of three steps goes."""
    step()
    with torch.profiler.profile() as seen:
        for _ in range(3):
            step()
    print(
        seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=n_rows, max_name_column_width=40)
    )


def main():
    """Read the arguments, run the rounds, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=NETS, default="atm-s")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--compile", action="store_true", help="also torch.compile (needs a C++ compiler), and its time"
    )
    parser.add_argument("--profile", action="store_true", help="profile skeegclip's float32 step instead")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    x = torch.randn(args.batch, 63, 250, device=args.device)
    target = torch.nn.functional.normalize(torch.randn(args.batch, 1024, device=args.device), dim=-1)
    if args.profile:
        return profile(fast_step(args.net, x, target), 25)
    steps = {
        "layer by layer, float32": plain_step(args.net, x, target),
        "layer by layer, bfloat16": plain_step(args.net, x, target, bf16=True),
        "skeegclip, float32": fast_step(args.net, x, target),
        "skeegclip, bfloat16": fast_step(args.net, x, target, bf16=True),
    }
    if args.compile:
        for kind in ("float32", "bfloat16"):
            step = fast_step(args.net, x, target, bf16=kind == "bfloat16", compiled=True)
            start = time.perf_counter(), time.process_time()
            step()
            print(
                f"compiling, {kind}: {time.perf_counter() - start[0]:.1f} s by the clock,"
                f" {time.process_time() - start[1]:.1f} s of this process"
            )
            steps[f"skeegclip, {kind}, compiled"] = step
    show(in_turns(steps, args.repeats), "layer by layer, float32")
    return None


if __name__ == "__main__":
    main()
