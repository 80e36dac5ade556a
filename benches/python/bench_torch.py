"""Masks on torch models: pruning a large one, and training with masks held."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import prune

import rustprune.torch as rpt
from bench_memory import peak
from timing import Calls, Row, Scale, interleave, main

LAYERS, RATIO = 25, 0.9
HELD, PLAIN, TORCH = (
    "training step with masks held",
    "one without masks",
    "training step of torch.nn.utils.prune",
)


def stack(entries: int) -> nn.Sequential:
    """Return a model of that many weights, in 25 square layers."""
    torch.manual_seed(0)
    width = round((entries / LAYERS) ** 0.5)
    return nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(LAYERS)))


def mlp(entries: int) -> nn.Sequential:
    """Return a network with about so many weights: three layers as wide as the input, and 10 outputs."""
    torch.manual_seed(0)
    width = round((entries / 3) ** 0.5)
    inner = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*inner, nn.Linear(width, 10))


def global_pruning(scale: Scale) -> Iterator[Row]:
    """Prune a whole model under one budget, and hold its masks."""
    model = stack(scale.entries)
    theirs = copy.deepcopy(model)
    pristine = copy.deepcopy(model.state_dict())

    def ours() -> float:
        return rpt.prune(model, RATIO, scope="global", regrow=True).num_kept

    def published() -> float:
        prune.global_unstructured([(layer, "weight") for layer in theirs], prune.L1Unstructured, amount=RATIO)
        return sum(float(layer.weight_mask.sum()) for layer in theirs)

    def afresh() -> None:
        model.load_state_dict(pristine)
        if prune.is_pruned(theirs):
            for layer in theirs:
                prune.remove(layer, "weight")
            theirs.load_state_dict(pristine)

    times = interleave(
        f"{LAYERS} layers, {scale.entries:,} float32, ratio {RATIO}",
        scale,
        {"rustprune.torch.prune, scope global": ours, "prune.global_unstructured": published},
        before=afresh,
        budget=90.0,
    )
    yield times.faster(
        "rustprune.torch.prune, scope global",
        "prune.global_unstructured",
        moved=8 * scale.entries,
        at_least=50,
    )


def memory(scale: Scale) -> Iterator[Row]:
    """Measure what the same takes beyond the model, masks included, in a process each."""
    spawn = multiprocessing.get_context("spawn")
    for name, bound in ("rustprune.torch.prune, scope global", 0.3), ("prune.global_unstructured", None):
        with ProcessPoolExecutor(1, mp_context=spawn) as process:
            yield Row(
                figure=f"extra memory of {name}",
                given=f"{LAYERS} layers, {scale.entries:,} float32",
                value=process.submit(extra_bytes, name, scale.entries).result() / scale.entries,
                unit="byte per weight",
                at_most=bound,
            )


def extra_bytes(name: str, entries: int) -> int:
    """Return by how much pruning raises the peak of this process, once a small model has started it."""
    for size in (LAYERS * 100, entries):
        model = stack(size)
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
        if name.startswith("rustprune"):
            rpt.prune(model, RATIO, scope="global")
        else:
            prune.global_unstructured(
                [(layer, "weight") for layer in model], prune.L1Unstructured, amount=RATIO
            )
    return peak() - before


def training(scale: Scale) -> Iterator[Row]:
    """Take steps of optimizers with and without masks."""
    optimizers: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
        "SGD with momentum": lambda model: torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9),
        "Adam": lambda model: torch.optim.Adam(model.parameters(), 1e-3),
        "AdamW": lambda model: torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1),
        # Without fusion Adam calls a square root that is several times slower at zeros, whoever made them.
        "AdamW, fused": lambda model: torch.optim.AdamW(
            model.parameters(), 1e-3, weight_decay=0.1, fused=True
        ),
    }
    entries = scale.entries // 10
    for name, make in optimizers.items():
        calls: Calls = {}
        for kind in (HELD, PLAIN, TORCH):
            model = mlp(entries)
            if kind == TORCH:
                layers = [layer for layer in model if isinstance(layer, nn.Linear)]
                prune.global_unstructured(
                    [(layer, "weight") for layer in layers], prune.L1Unstructured, amount=RATIO
                )
            optimizer = make(model)
            if kind == HELD:
                rpt.prune(model, RATIO, scope="global", optimizer=optimizer)
            calls[kind] = stepper(model, optimizer)
        times = interleave(f"MLP of {entries:,} weights, batch of 64, {name}", scale, calls, budget=30.0)
        yield times.slower(HELD, PLAIN, moved=4 * entries, at_most=1.15)
        yield times.slower(TORCH, PLAIN, moved=4 * entries)


def stepper(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> Callable[[], float]:
    """Return what takes one step on random data."""
    inputs = torch.randn(64, model[0].in_features)
    labels = torch.randint(10, (64,))

    def step() -> float:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        return 1.0

    return step


if __name__ == "__main__":
    main(global_pruning, memory, training)
