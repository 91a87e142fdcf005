"""Time contenders in turns, so that a busy machine slows all of them down alike."""

from __future__ import annotations

import os
import statistics
import time

# Threads that wait in a loop would be counted as work. Read by OpenMP when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def in_turns(contenders, repeats, warm_up=1):
    """Run every contender `repeats` times, taking turns.

    Returns, for each name, the median time by the clock and the median processor time of all threads, in seconds.
    On a machine with other work to do the second tells more: waiting for a processor does not count.
    """
    for run in contenders.values():
        for _ in range(warm_up):
            run()
    times = {name: ([], []) for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter(), time.process_time()
            run()
            times[name][0].append(time.perf_counter() - start[0])
            times[name][1].append(time.process_time() - start[1])
    return {name: tuple(map(statistics.median, both)) for name, both in times.items()}


def show(times, baseline):
    """Print a markdown table of the times, and of how many times faster than `baseline` each is."""
    width = max(map(len, times))
    print(f"| {'':{width}s} | clock, ms | ratio | processor, ms | ratio |")
    print(f"|{'-' * (width + 2)}|----------:|------:|--------------:|------:|")
    for name, (clock, processor) in times.items():
        ratios = times[baseline][0] / clock, times[baseline][1] / processor
        print(
            f"| {name:{width}s} | {clock * 1e3:9.1f} | {ratios[0]:4.1f}x | {processor * 1e3:13.1f} | {ratios[1]:4.1f}x |",
            flush=True,
        )
