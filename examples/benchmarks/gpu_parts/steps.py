"""Training steps as EEGEncoder takes them, with torch alone: parity, a whole subject, compilers, batches, one trial."""

from __future__ import annotations

import inspect
import statistics
import time
from functools import partial

import torch
from torch.nn import functional as F

from .bench import first_line, networks_alone

N_CHANS, N_TIMES, N_DIMS, N_IMAGES = 63, 250, 1024, 16_540


def shape(bench):
    """Channels, samples and dimensions."""
    return bench.sized((N_CHANS, N_TIMES, N_DIMS), (5, 100, 16))


def make(name, sizes, device="cpu", **params):
    """A network of the library, from one seed, and its loss."""
    import skeegclip.nets as nets
    from skeegclip.losses import ClipLoss

    torch.manual_seed(0)
    n_chans, n_times, n_dims = sizes
    return getattr(nets, name)(n_dims, n_chans, n_times, **params).to(device), ClipLoss().to(device)


def optimizer_of(net, criterion, **params):
    return torch.optim.AdamW([*net.parameters(), *criterion.parameters()], lr=3e-4, **params)


# -- parity ---------------------------------------------------------------------------------------


def parity(bench):
    """Loss, embeddings and gradients of each network against those in double precision on the CPU."""
    sizes, batch = shape(bench), bench.sized(128, 16)
    torch.manual_seed(1)
    x, target = torch.randn(batch, *sizes[:2]), F.normalize(torch.randn(batch, sizes[2]), dim=1)
    stimulus = torch.arange(batch) // 2  # every picture twice
    ways = [("cpu", "float32"), ("cpu", "bfloat16")]
    if bench.on_gpu:
        ways += [(bench.device, "float32"), (bench.device, "bfloat16")]
    # Of a gradient's length, and of one minus a cosine; a card multiplies float32 as TF32 in cuDNN.
    bounds = {"float32": (1e-2, 1e-4), "bfloat16": (0.15, 1e-2)}
    for name in ("ATM", "NICE", "EEGProject", "MLP"):
        truth = one_step(name, sizes, x, target, stimulus, "cpu", "float64")
        for device, precision in ways:
            loss, z, gradient = one_step(name, sizes, x, target, stimulus, device, precision)
            off = float((gradient - truth[2]).norm() / truth[2].norm())
            cosine = float(F.cosine_similarity(z, truth[1]).min())
            near = off < bounds[precision][0] and 1 - cosine < bounds[precision][1]
            verdict = "agrees" if near and abs(loss - truth[0]) < 0.01 * truth[0] else "DIFFERS"
            note = f"loss {loss:.5f} against {truth[0]:.5f}, least cosine {cosine:.6f}: {verdict}"
            bench.row(
                f"{name}, {torch.device(device).type}, {precision}", off, "of the gradient's length", note
            )


def one_step(name, sizes, x, target, stimulus, device, precision):
    """Loss, embeddings and the whole gradient of one batch, without dropout, as double precision on the CPU."""
    import skeegclip.nets as nets

    still = {key: 0.0 for key in inspect.signature(getattr(nets, name)).parameters if "dropout" in key}
    net, criterion = make(name, sizes, **still)
    dtype = torch.float64 if precision == "float64" else torch.float32
    net, criterion = net.to(device, dtype), criterion.to(device, dtype)
    x, target = x.to(device, dtype), target.to(device, dtype)
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16"):
        z = net(x)
    loss = criterion(z if precision == "float64" else z.float(), target, stimulus.to(device))
    loss.backward()
    parts = [p.grad.detach().double().cpu().ravel() for p in net.parameters() if p.grad is not None]
    return float(loss.detach()), z.detach().double().cpu(), torch.cat(parts)


# -- a whole subject ------------------------------------------------------------------------------


def subject(bench):
    """A THINGS-EEG2 subject, made on the device: every picture four times, a weak linear trace in noise."""
    n_chans, n_times, n_dims = shape(bench)
    n_images = bench.sized(N_IMAGES, 32)
    generator = torch.Generator(bench.device).manual_seed(0)
    draw = partial(torch.randn, generator=generator, device=bench.device)
    vectors = F.normalize(draw(n_images, n_dims), dim=1)
    image = torch.arange(n_images, device=bench.device).repeat(4)
    pattern = draw(n_dims, n_chans * n_times)
    X = draw(len(image), n_chans, n_times)
    for rows in torch.arange(len(image), device=bench.device).split(4096):
        X[rows] += 0.3 * (vectors[image[rows]] @ pattern).view(-1, n_chans, n_times)
    return X, image, vectors


def within(bench):
    """40 passes over a whole subject, in bfloat16: seconds a pass, memory, and the share of the card's matrix product."""
    bench.fresh()
    X, image, vectors = subject(bench)
    batch, n_passes = bench.sized(1024, 32), bench.sized(40, 2)
    precision = "bfloat16"
    net, criterion = make("ATM", shape(bench), bench.device)
    optimizer = optimizer_of(net, criterion, fused=True)
    flops = 3 * flops_of(net, X[:batch], bench, precision)  # backward: twice the forward
    generator, times, losses = torch.Generator(bench.device).manual_seed(1), [], []
    until = bench.left / 2  # the other half for the other parts
    for _ in range(n_passes):
        start = time.perf_counter()
        order = torch.randperm(len(X), generator=generator, device=bench.device)
        total = torch.zeros((), device=bench.device)
        for rows in order.split(batch):
            train(
                net, criterion, optimizer, X[rows], vectors[image[rows]], image[rows], bench, precision, total
            )
        losses.append(float(total))  # waits
        times.append(time.perf_counter() - start)
        if bench.left < until:
            break
    median = statistics.median(times)
    bench.row(
        f"{len(X):,} epochs, batch {batch}, {len(times)} passes", sum(times), "s", "goal: 40 passes in 30 s"
    )
    bench.row(
        "a pass", median, "s", f"the first {times[0]:.2f} s; {n_passes} passes take {n_passes * median:.1f} s"
    )
    bench.row("loss, first pass and last", losses[-1] / losses[0], "ratio", "below 1: it learns")
    bench.memory("the epochs included")
    share = flops * len(X) / batch / median / bench.matmul_peak(precision)
    bench.row(
        "of the card's product of two large matrices",
        share,
        "ratio",
        f"{bench.matmul_peak(precision):.3g} FLOP/s",
    )


def train(net, criterion, optimizer, x, target, stimulus, bench, precision, total=None):
    """One step; nothing waits for the loss."""
    optimizer.zero_grad()
    with bench.autocast(precision):
        z = net(x)
    loss = criterion(z.float(), target, stimulus)
    loss.backward()
    optimizer.step()
    if total is not None:
        total += loss.detach()


def flops_of(net, x, bench, precision):
    """Multiplications and additions of a forward pass in matrix products and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, bench.autocast(precision):
        net(x)
    return counter.get_total_flops()


# -- a step ---------------------------------------------------------------------------------------


def a_batch(bench, batch):
    n_chans, n_times, n_dims = shape(bench)
    x = torch.randn(batch, n_chans, n_times, device=bench.device)
    target = F.normalize(torch.randn(batch, n_dims, device=bench.device), dim=1)
    return x, target, torch.arange(batch, device=bench.device)


def compilers(bench):
    """A step as it is, captured as a CUDA graph, and compiled: what takes longest and is least sure comes last."""
    for way in ("eager", "CUDA graph", "torch.compile"):
        for precision in ("bfloat16", "float32"):
            if way == "CUDA graph" and not bench.on_gpu:
                continue
            try:
                if way == "CUDA graph":  # one that fails spoils the random numbers of its process
                    with torch.multiprocessing.get_context("spawn").Pool(1) as pool:
                        took = pool.apply(timed, (bench, way, precision))
                else:
                    took = timed(bench, way, precision)
                bench.row(f"{way}, {precision}", took[0], "ms a step", f"the first after {took[1]:.1f} s")
            except Exception as error:  # what a compiler cannot take is a result too
                bench.row(f"{way}, {precision}", "failed", "", first_line(error))


def timed(bench, way, precision):
    """Milliseconds of a step, and seconds until the first was done."""
    networks_alone()  # in a process of its own
    given = a_batch(bench, bench.sized(1024, 16))
    start = time.perf_counter()
    step = {"eager": eager, "torch.compile": compiled, "CUDA graph": graphed}[way](bench, given, precision)
    step()
    bench.sync()
    first = time.perf_counter() - start
    return 1e3 * statistics.median(bench.seconds(step, bench.sized(20, 2))), first


def eager(bench, given, precision, compile_with=None):
    net, criterion = make("ATM", shape(bench), bench.device)
    optimizer = optimizer_of(net, criterion, fused=True)
    if compile_with is not None:
        net.compile(backend=compile_with)
    return partial(train, net, criterion, optimizer, *given, bench, precision)


def compiled(bench, given, precision):
    # On the CPU the compiler would take minutes and show nothing.
    return eager(bench, given, precision, "inductor" if bench.on_gpu else "eager")


def graphed(bench, given, precision):
    """The whole step, optimizer included, replayed without Python."""
    net, criterion = make("ATM", shape(bench), bench.device)
    optimizer = optimizer_of(net, criterion, fused=True, capturable=True)
    step = partial(train, net, criterion, optimizer, *given, bench, precision)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(_held=step):  # a graph works on tensors that it does not hold
        graph.replay()

    return replay


def batches(bench):
    """Epochs a second and memory by the size of a batch."""
    for batch in bench.sized((64, 256, 1024, 4096, 16_384), (8, 16)):
        bench.fresh()
        try:
            step = eager(bench, a_batch(bench, batch), "bfloat16")
            seconds = statistics.median(bench.seconds(step, bench.sized(10, 2)))
        except torch.OutOfMemoryError:
            bench.row(f"batch {batch:,}", "out of memory", "")
            return
        bench.row(f"batch {batch:,}", batch / seconds, "epochs a second", bench.gigabytes())


def one_trial(bench):
    """One epoch from main memory to its five nearest of 200 pictures and back."""
    n_chans, n_times, n_dims = shape(bench)
    net, _ = make("ATM", shape(bench), bench.device)
    net.eval()
    x, gallery = torch.randn(1, n_chans, n_times), torch.randn(200, n_dims, device=bench.device)

    def run():
        with torch.inference_mode():
            return (F.normalize(net(x.to(bench.device)), dim=1) @ gallery.T).topk(5).indices.cpu()

    times = sorted(1e3 * second for second in bench.seconds(run, bench.sized(200, 3), warm_up=5))
    bench.row("median", statistics.median(times), "ms")
    bench.row("of 95 %", times[int(0.95 * len(times))], "ms")


def search(bench):
    """The five nearest of a million vectors, for one query and for 200."""
    bench.fresh()
    n, n_dims = bench.sized(1_000_000, 2000), shape(bench)[2]
    gallery = F.normalize(torch.randn(n, n_dims, device=bench.device), dim=1)
    for n_queries in (1, 200):
        queries = gallery[:n_queries] + 0.01
        assert ((queries @ gallery.T).argmax(dim=1) == torch.arange(n_queries, device=bench.device)).all()
        seconds = bench.seconds(lambda queries=queries: (queries @ gallery.T).topk(5), bench.sized(10, 2))
        note = f"{n:,} x {n_dims}, torch on the device; the library searches on the CPU"
        bench.row(f"{n_queries} at once", 1e3 * statistics.median(seconds) / n_queries, "ms each", note)
    bench.memory()
