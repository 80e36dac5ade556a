"""Masks of models that several processes share: the same bits as in one, and zeros that stay."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode

import rustprune.torch as rpt
from processes import needs_gloo, together
from rustprune.torch._shards import local

pytestmark = needs_gloo


def mlp(*, tied: bool = True) -> nn.Sequential:
    """Layers of 7, 5 and 1 rows, which no two processes share evenly, with many equal weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))
    if tied:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_((parameter * 8).round() / 8)
    return model


def sharded(model: nn.Sequential) -> nn.Sequential:
    from torch.distributed.fsdp import fully_shard

    for layer in (model[0], model[2], model[4]):
        fully_shard(layer)
    fully_shard(model)
    return model


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    first: int,
    every: int,
    clip: float | None = None,
) -> None:
    """Take steps on every so-manieth row of the same batches."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs = torch.randn(8, 6, generator=generator)[first::every]
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()


def whole(masks: rpt.Masks) -> dict[str, Tensor]:
    """Return masks of bool, gathered."""
    return {
        name: layout.whole(local(masks[name])) if (layout := masks.cuts.get(name)) else masks[name]
        for name in masks
    }


def same(masks: rpt.Masks, expected: rpt.Masks) -> bool:
    found = whole(masks)
    return (
        list(masks) == list(expected)
        and all(torch.equal(found[name], mask) for name, mask in expected.items())
        and (masks.kept_counts(), masks.shapes, masks.sparsity)
        == (expected.kept_counts(), expected.shapes, expected.sparsity)
    )


def _ddp_clipped(_: Path) -> None:
    """Train in two processes, and alone on all rows."""
    ddp = nn.parallel.DistributedDataParallel(mlp(), gradient_as_bucket_view=True, bucket_cap_mb=1e-4)
    alone = mlp()
    for model, first, every in ((ddp, dist.get_rank(), 2), (alone, 0, 1)):
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        rpt.prune(model, 0.6, scope="global", optimizer=optimizer)
        train(model, optimizer, 20, first=first, every=every, clip=0.02)
    for one, other in zip(ddp.module.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _ddp(_: Path) -> None:
    rank = dist.get_rank()
    for options in ({"scope": "global"}, {"method": "random", "seed": 3}):
        model, alone = mlp(), mlp()
        ddp = nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.SGD(ddp.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
        rpt.prune(ddp.module, 0.6, optimizer=optimizer, **options)
        train(ddp, optimizer, 20, first=rank, every=2)
        masks = rpt.masks(alone, 0.6, **options)
        assert rpt.masks(model, 0.6, **options) == masks
        for name, mask in masks.items():
            weight = model.get_parameter(name).detach()
            others = [torch.empty_like(weight) for _ in range(2)]
            dist.all_gather(others, weight)
            assert torch.equal(others[0], others[1])
            assert (weight[~mask] == 0).all()
            assert not torch.equal(weight, alone.get_parameter(name) * mask)


def test_processes_that_average_gradients_reach_the_same_masks_and_weights(tmp_path: Path) -> None:
    together(_ddp, tmp_path)


def test_processes_clip_what_they_average_as_one_alone_does(tmp_path: Path) -> None:
    together(_ddp_clipped, tmp_path)


REQUESTS: list[dict[str, Any]] = [
    {"ratio": 0.5, "scope": "global"},
    {"count": 41, "scope": "global", "min_kept": 0.4},
    {"ratio": 0.3},
    {"ratio": {"0.*": 0.5, "2.*": 0.25}},
    {"ratio": 0.4, "scope": "row"},
    {"pattern": "1:1"},
    {"ratio": 0.5, "scope": "global", "method": "random", "seed": 5},
    {"ratio": 0.5, "method": "random", "seed": 5},
    {"ratio": 1.0, "scope": "global"},
    {"ratio": 0.0},
]


AGAIN: list[dict[str, Any]] = [
    {"ratio": 0.9},
    {"count": 60, "scope": "global", "min_kept": 1},
    {"ratio": 0.9, "scope": "row"},
    {"ratio": 0.6, "scope": "global", "method": "random", "seed": 5},
    {"ratio": 0.9, "method": "random", "seed": 5},
]


def _fsdp_masks(folder: Path) -> None:
    alone, model = mlp(), sharded(mlp())
    assert len(local(model.get_parameter("4.weight"))) == 1 - dist.get_rank()  # one process has nothing of it
    for request in REQUESTS:
        assert same(rpt.masks(model, **request), rpt.masks(alone, **request)), request
    assert list(rpt.targets(model, ["Linear"], ignore=["4"])) == ["0.weight", "2.weight"]

    # Only counts travel: sums and minima, no weights.
    with CommDebugMode() as messages:
        rpt.masks(model, 0.5, scope="global")
    assert {str(kind) for kind in messages.get_comm_counts()} == {"c10d.allreduce_"}

    # Pruned again, what is pruned counts.
    for one in (alone, model):
        rpt.prune(one, 0.3, scope="global")
    for request in AGAIN:
        assert same(rpt.masks(model, **request), rpt.masks(alone, **request)), request

    # What masks do with each other, and where they are kept.
    a, b = rpt.masks(model, 0.5, scope="global"), rpt.masks(model, 0.7)
    c, d = rpt.masks(alone, 0.5, scope="global"), rpt.masks(alone, 0.7)
    assert same(a & b, c & d)
    assert same(a | d, c | d)
    assert same(~a, ~c)
    assert a.overlap(b) == c.overlap(d)
    a.save(folder / "m")
    assert rpt.Masks.load(folder / "m") == c
    rpt.hold(model, rpt.Masks.load(folder / "m"))
    rpt.hold(alone, c)
    assert same(rpt.hold(model).masks, c)
    assert rpt.report(model) == rpt.report(alone, details=False)
    with pytest.raises(OSError, match=r"No such file|m: the process of rank 0 could not write it"):
        a.save(folder / "none" / "m")

    # Scores of the user's own.
    scores = {name: -target.parameter.abs() for name, target in rpt.targets(model).items()}
    lones = {name: -target.parameter.abs() for name, target in rpt.targets(alone).items()}
    assert same(
        rpt.masks(model, 0.5, scores=scores, scope="global", regrow=True),
        rpt.masks(alone, 0.5, scores=lones, scope="global", regrow=True),
    )


def test_shards_get_the_masks_of_the_whole(tmp_path: Path) -> None:
    together(_fsdp_masks, tmp_path)


def _fsdp_training(_: Path) -> None:
    alone, model = mlp(tied=False), sharded(mlp(tied=False))
    for one, first, every in ((alone, 0, 1), (model, dist.get_rank(), 2)):
        optimizer = torch.optim.AdamW(one.parameters(), 0.01, weight_decay=0.1)
        train(one, optimizer, 3, first=first, every=every)
        rpt.prune(one, 0.7, scope="global", optimizer=optimizer)
        train(one, optimizer, 20, first=first, every=every)
        for target in rpt.targets(one).values():
            for name in ("exp_avg", "exp_avg_sq"):
                moment = optimizer.state[target.parameter][name]
                parts = [local(part) for part in (moment, target.parameter)]
                assert (parts[0][parts[1] == 0] == 0).all()
    assert same(rpt.hold(model).masks, rpt.hold(alone).masks)
    assert rpt.report(model) == rpt.report(alone, details=False)
    assert rpt.report(model).num_kept == sum(target.num_nonzero for target in rpt.report(model).targets)
    for name, parameter in model.named_parameters():
        assert isinstance(parameter, DTensor)
        assert torch.allclose(parameter.full_tensor(), alone.get_parameter(name), atol=1e-5)

    # Also when the root still has its weights together, after a pass that no backward pass followed.
    model(torch.ones(2, 6))
    assert same(rpt.masks(model, 0.8, scope="global"), rpt.masks(alone, 0.8, scope="global"))
    rpt.apply_(model, ~rpt.hold(alone).masks)
    assert rpt.finalize(model).targets[0].num_nonzero == 0
    assert not rpt.is_pruned(model)


def test_shards_stay_pruned_while_they_train(tmp_path: Path) -> None:
    together(_fsdp_training, tmp_path)


def _errors(_: Path) -> None:
    model = sharded(mlp())
    with torch.no_grad():
        shard = local(model.get_parameter("0.weight"))
        if dist.get_rank() == 1:
            shard[1, 2] = torch.nan  # of the rows 4, 5 and 6 the second: index 5 * 6 + 2
    before = copy.deepcopy(shard)
    for scope in ("global", "tensor", "row"):
        with pytest.raises(
            ValueError, match=re.escape("0.weight: expected no NaN, got one at flat index 32;")
        ):
            rpt.prune(model, 0.5, scope=scope)
    assert same(rpt.masks(model, 0.5, nan="keep"), rpt.masks(_with_nan(), 0.5, nan="keep"))
    assert same(rpt.masks(model, 0.5, nan="prune"), rpt.masks(_with_nan(), 0.5, nan="prune"))
    # Only one process has a row of which more is pruned already than is asked for.
    masks = {name: torch.ones(shape, dtype=torch.bool) for name, shape in (("0.weight", (7, 6)),)}
    masks["0.weight"][6] = False
    rpt.hold(model, rpt.Masks(masks))
    with pytest.raises(
        ValueError, match=r"row 2: num_pruned must be at least|0.weight: expected shards that can"
    ):
        rpt.masks(model, 0.5, scope="row", targets=["0"], nan="keep")
    assert torch.equal(shard[:2].view(torch.int32), before[:2].view(torch.int32))


def _with_nan() -> nn.Sequential:
    model = mlp()
    with torch.no_grad():
        model.get_parameter("0.weight")[5, 2] = torch.nan
    return model


def test_errors_of_one_process_are_errors_of_all(tmp_path: Path) -> None:
    together(_errors, tmp_path)


def _two_axes(_: Path) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    alone, model = mlp(), mlp()
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    parallelize_module(model, mesh["tensor"], plan)
    for layer in (model[0], model[2], model[4]):
        fully_shard(layer, mesh=mesh["data"])
    weight = model.get_parameter("0.weight")
    assert isinstance(weight, DTensor)
    kinds = [type(placement).__name__ for placement in weight.placements]
    assert kinds == ["_StridedShard", "Shard"]
    for request in REQUESTS[:4] + REQUESTS[6:]:
        assert same(rpt.masks(model, **request), rpt.masks(alone, **request)), request
    with pytest.raises(ValueError, match=re.escape("2.weight: expected shards of whole rows")):
        rpt.masks(model, 0.5, scope="row")


def test_weights_that_are_cut_along_two_axes_get_the_masks_of_the_whole(tmp_path: Path) -> None:
    together(_two_axes, tmp_path, 4)
