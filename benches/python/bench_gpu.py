"""Masks made on a GPU against what its memory allows, and against torch.

Without a GPU it says so on the standard error, and prints no figure. Times are of device events, the median
of calls made in turn.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch

from rustprune.torch import _gpu
from timing import FULL, Calls, Row, Scale, Times, main

COPY = "copy on the device"
MASK, BITS = "magnitude mask to bool on the GPU", "magnitude mask to bits on the GPU"
GRAPH = "magnitude mask to bool, replayed from a graph"


def entries_of(scale: Scale) -> int:
    """Return the entries of the largest array, if there is a GPU."""
    if torch.cuda.is_available():
        return 10**9 if scale is FULL else 10**6
    print("no GPU: nothing is measured", file=sys.stderr)
    return 0


def named(given: str) -> str:
    """Return what is given, and the card it is given to."""
    return f"{given}, {torch.cuda.get_device_name()}"


def normal(entries: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return weights as a layer has them, made in parts."""
    generator = torch.Generator("cuda").manual_seed(0)
    made = torch.empty(entries, dtype=dtype, device="cuda")
    for part in made.split(1 << 28):
        part.copy_(torch.randn(part.numel(), device="cuda", generator=generator))
    return made


def interleave(given: str, scale: Scale, calls: Calls) -> Times:
    """Time calls in turn by device events, after one that compiles and warms up."""
    for call in calls.values():
        call()
    rounds = scale.most_rounds if scale is not FULL else 9
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            times[name].append(start.elapsed_time(end) / 1000)
    return Times(named(given), {name: statistics.median(all_) for name, all_ in times.items()}, rounds)


def copying(entries: int) -> tuple[Callable[[], object], int]:
    """Return a copy, and how many bytes it reads and writes."""
    source = torch.empty(2 * entries, dtype=torch.uint8, device="cuda")
    return partial(torch.empty_like(source).copy_, source), 4 * entries


def share(times: Times, ours: str, moved: int, copied: int, *, at_least: float | None = None) -> Row:
    """Return the share of the floor: the time to move so many bytes as fast as the copy moves its own."""
    floor = times.seconds[COPY] * moved / copied
    return Row(
        figure=f"{ours}, share of the floor",
        given=times.given,
        value=floor / times.seconds[ours],
        unit="of the floor",
        at_least=at_least,
        ours_seconds=times.seconds[ours],
        bytes_per_second=moved / times.seconds[ours],
        rounds=times.rounds,
    )


def captured(run: Callable[[], object]) -> Callable[[], None]:
    """Return a replay of a run that was captured in a graph."""
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    replay: Callable[[], None] = graph.replay
    return replay


def magnitude(scale: Scale) -> Iterator[Row]:
    """Measure one big array of float32, to bool and bits, from a call and from a graph."""
    if not (entries := entries_of(scale)):
        return
    weights, count = [normal(entries)], [entries // 2]
    copy, copied = copying(entries)
    plain = _gpu.Selection(weights, num_pruned=count, nan="keep", packed=False)
    bits = _gpu.Selection(weights, num_pruned=count, nan="keep")
    calls: Calls = {
        COPY: copy,
        MASK: plain.run,
        BITS: bits.run,
        "with nan='raise'": lambda: _gpu.select_(weights, num_pruned=count, packed=False),
        GRAPH: captured(plain.run),
    }
    times = interleave(f"{entries:,} float32, ratio 0.5", scale, calls)
    yield Row(
        figure=COPY,
        given=named(f"{copied:,} bytes read and written"),
        value=copied / times.seconds[COPY] / 1e12,
        unit="TB/s",
        ours_seconds=times.seconds[COPY],
        rounds=times.rounds,
    )
    yield share(times, MASK, 5 * entries, copied, at_least=0.6)
    yield share(times, BITS, 4 * entries + entries // 8, copied)
    yield share(times, GRAPH, 5 * entries, copied)
    yield share(times, "with nan='raise'", 5 * entries, copied)


def others(scale: Scale) -> Iterator[Row]:
    """Compare with what torch offers, on a tenth of the entries: it needs twenty times the memory."""
    if not (entries := entries_of(scale) // 10):
        return
    weights, count = [normal(entries)], entries // 2
    plain = _gpu.Selection(weights, num_pruned=[count], nan="keep", packed=False)

    def topk() -> torch.Tensor:
        mask = torch.zeros(entries, dtype=torch.bool, device="cuda")
        mask[weights[0].abs().topk(entries - count, sorted=False).indices] = True
        return mask

    def kthvalue() -> torch.Tensor:
        magnitudes = weights[0].abs()
        return magnitudes > magnitudes.kthvalue(count).values

    calls: Calls = {MASK: plain.run, "torch.topk": topk, "torch.kthvalue": kthvalue}
    times = interleave(f"{entries:,} float32, ratio 0.5", scale, calls)
    for name in ("torch.topk", "torch.kthvalue"):
        yield times.faster(MASK, name, moved=5 * entries)


def formats(scale: Scale) -> Iterator[Row]:
    """Measure other formats and other scopes against the floor of their own bytes."""
    if not (entries := entries_of(scale)):
        return
    copy, copied = copying(entries)
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        weights = [normal(entries, dtype)]
        plain = _gpu.Selection(weights, num_pruned=[entries // 2], nan="keep", packed=False)
        name = f"{str(dtype)[6:]} mask to bool on the GPU"
        times = interleave(f"{entries:,}, ratio 0.5", scale, {COPY: copy, name: plain.run})
        yield share(times, name, (weights[0].element_size() + 1) * entries, copied)
        del weights, plain


def scopes(scale: Scale) -> Iterator[Row]:
    """Measure one budget over 200 arrays, one for each, one for each row, and 2:4."""
    if not (entries := entries_of(scale)):
        return
    copy, copied = copying(entries)
    big = normal(entries)
    parts = [part.contiguous() for part in big.split(entries // 200)]
    rows = [big[: entries // 4000 * 4000].view(-1, 4000)]
    fours = [big[: entries // 8192 * 8192]]
    runs: dict[str, tuple[_gpu.Selection, int]] = {
        "mask of 200 arrays together on the GPU": (
            _gpu.Selection(parts, num_pruned=entries // 2, nan="keep", packed=False),
            entries,
        ),
        "masks of 200 arrays on the GPU": (
            _gpu.Selection(parts, num_pruned=[one.numel() // 2 for one in parts], nan="keep", packed=False),
            entries,
        ),
        "mask of rows of 4,000 on the GPU": (
            _gpu.Selection(rows, num_pruned=[2000], rows=True, nan="keep", packed=False),
            rows[0].numel(),
        ),
        "2:4 mask on the GPU": (
            _gpu.Selection(fours, pattern=(2, 4), nan="keep", packed=False),
            fours[0].numel(),
        ),
    }
    calls: Calls = {COPY: copy} | {name: selection.run for name, (selection, _) in runs.items()}
    times = interleave(f"{entries:,} float32", scale, calls)
    for name, (_, counted) in runs.items():
        yield share(times, name, 5 * counted, copied)


def inputs(scale: Scale) -> Iterator[Row]:
    """Compare our own time on input that is not random with that on random input."""
    if not (entries := entries_of(scale) // 4):
        return
    weights = normal(entries)
    scales = torch.logspace(-3, 3, entries // 4000, device="cuda").repeat_interleave(4000)
    kinds = {
        "60 % zeros": torch.where(torch.rand(entries, device="cuda") < 0.6, 0, weights),
        "a constant": torch.full((entries,), 0.5, device="cuda"),
        "sorted data": weights.sort().values,
        "row-scaled data": weights[: scales.numel()] * scales,
    }
    calls: Calls = {
        name: _gpu.Selection([values], num_pruned=[values.numel() * 7 // 10], nan="keep", packed=False).run
        for name, values in {"random data": weights, **kinds}.items()
    }
    times = interleave(f"{entries:,} float32, ratio 0.7", scale, calls)
    for name in kinds:
        yield times.slower(name, "random data", moved=5 * entries)


def random(scale: Scale) -> Iterator[Row]:
    """Compare random masks with torch's own coin flips, of which no count is exact."""
    if not (entries := entries_of(scale)):
        return
    for ratio in (0.5, 0.9):
        count = round(entries * ratio)
        drawing = _gpu.Drawing([entries], [0], num_pruned=[count], seed=1, device=torch.device("cuda"))
        ours, theirs = "random mask to bits on the GPU", "Bernoulli bytes of torch, of no exact count"
        other = torch.empty(entries, dtype=torch.bool, device="cuda")
        calls: Calls = {ours: drawing.run, theirs: partial(other.bernoulli_, 1 - ratio)}
        times = interleave(f"{entries:,}, ratio {ratio}", scale, calls)
        yield times.faster(ours, theirs, moved=entries // 8)


def apply(scale: Scale) -> Iterator[Row]:
    """Compare zeros under bits with a multiplication by a mask of bool."""
    if not (entries := entries_of(scale) // 2):
        return
    weights = normal(entries)
    bits = _gpu.select_([weights], num_pruned=[entries // 2])
    [mask] = _gpu.select_([weights], num_pruned=[entries // 2], packed=False)
    ours, theirs = "zeros under bits", "w.mul_(mask)"
    calls: Calls = {
        ours: lambda: _gpu.apply_([weights], bits),
        theirs: lambda: weights.mul_(mask),
    }
    times = interleave(f"{entries:,} float32, ratio 0.5", scale, calls)
    yield times.faster(ours, theirs, moved=8 * entries)


if __name__ == "__main__":
    main(magnitude, others, formats, scopes, inputs, random, apply)
