"""Reports of pruned models: counts, work, and disagreement of masks and values."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import rustprune.torch as rpt
from rustprune.torch._measure import Inputs


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5))


def work(model: nn.Module, inputs: Inputs) -> tuple[int | None, tuple[str, ...]]:
    report = rpt.report(model, inputs=inputs)
    return report.macs, report.not_counted


@pytest.mark.parametrize(("padding", "macs"), [(1, 442_368), (0, 388_800)])
def test_multiply_adds_of_a_convolution_follow_its_output(padding: int, macs: int) -> None:
    model = nn.Conv2d(3, 16, 3, padding=padding)
    hold = rpt.hold(model, rpt.masks(model, 0.25))
    report = rpt.report(model, inputs=torch.zeros(1, 3, 32, 32))
    assert (report.macs, report.macs_nz) == (macs, macs * 3 // 4)
    assert report.theoretical_speedup == pytest.approx(4 / 3)
    assert rpt.report(model, inputs=torch.zeros(2, 3, 32, 32)).macs == 2 * macs
    hold.release()


class Attending(nn.Module):
    """Attention whose key is a keyword."""

    def __init__(self, *, apart: bool) -> None:
        super().__init__()
        widths: dict[str, Any] = {"kdim": 6, "vdim": 4} if apart else {}
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **widths)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Run it."""
        output: torch.Tensor = self.attention(query, key=key, value=value)[0]
        return output


class Scaled(nn.Module):
    """A product that no layer makes, and a layer that does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 3))
        self.unused = nn.Linear(3, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return inputs @ self.scale


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    ("model", "inputs", "macs"),
    [
        (nn.Linear(4, 3), torch.zeros(4), 12),
        (nn.Linear(4, 3), torch.zeros(2, 5, 4), 10 * 12),
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), torch.zeros(4, 9), 6 * 2 * 3 * 4),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), torch.zeros(1, 4, 5, 5), 4 * 6 * 9 * 25),
        (
            nn.LSTM(4, 3, num_layers=2, bidirectional=True),
            torch.zeros(7, 2, 4),
            14 * 2 * 12 * (4 + 3 + 6 + 3),
        ),
        (nn.LSTM(4, 5, proj_size=3), torch.zeros(7, 1, 4), 7 * (20 * 4 + 20 * 3 + 3 * 5)),
        (
            nn.GRU(4, 3),
            nn.utils.rnn.pack_sequence([torch.zeros(5, 4), torch.zeros(2, 4)]),
            7 * 9 * (4 + 3),
        ),
        (nn.LSTMCell(4, 3), torch.zeros(2, 4), 2 * 12 * 7),
        (Attending(apart=False), [torch.zeros(1, 3, 8), torch.zeros(1, 5, 8), torch.zeros(1, 5, 8)], 64 * 16),
        (
            Attending(apart=True),
            {"query": torch.zeros(1, 3, 8), "key": torch.zeros(1, 5, 6), "value": torch.zeros(1, 5, 4)},
            3 * 64 * 2 + 5 * 8 * 6 + 5 * 8 * 4,
        ),
        (
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            torch.zeros(1, 3, 8),
            3 * (4 * 64 + 2 * 128),
        ),
        (
            nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm((2, 4)), nn.Linear(4, 3)),
            torch.zeros(1, 2).long(),
            24,
        ),
    ],
    ids=[
        "one",
        "linear",
        "groups",
        "transposed",
        "lstm",
        "projected",
        "packed",
        "cell",
        "attention",
        "attention apart",
        "transformer",
        "free",
    ],
)
def test_multiply_adds_of_a_run(model: nn.Module, inputs: Inputs, macs: int) -> None:
    targets = [name for name, one in model.named_parameters() if one.ndim > 1]
    hold = rpt.hold(model, rpt.masks(model, 0.0, targets=targets))
    assert work(model, inputs) == (macs, ())
    hold.release()


def test_multiply_adds_with_kept_weights_are_those_of_the_rows_that_are_used() -> None:
    model = Attending(apart=False)
    kept = torch.ones(24, 8, dtype=torch.bool)
    kept[:8] = False  # the rows of the queries
    inputs = (torch.zeros(1, 3, 8), torch.zeros(1, 5, 8), torch.zeros(1, 5, 8))
    report = rpt.report(model, rpt.Masks({"attention.in_proj_weight": kept}), inputs=inputs)
    assert (report.targets[0].macs, report.targets[0].macs_nz) == (3 * 64 + 5 * 128, 5 * 128)


def test_multiply_adds_of_gpt2_are_counted() -> None:
    layers = pytest.importorskip("transformers.pytorch_utils")
    assert work(layers.Conv1D(5, 4), torch.zeros(2, 3, 4)) == (6 * 20, ())


def test_what_is_not_seen_to_multiply_is_listed() -> None:
    report = rpt.report(Scaled(), inputs=torch.ones(2, 3))
    assert report.macs == 0
    assert report.not_counted == ("scale", "unused.weight")
    assert "multiply-adds not counted of scale, unused.weight" in str(report)


def test_a_run_leaves_modes_statistics_random_state_and_hooks_as_they_were() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 2)
    )
    model.get_submodule("2").eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    report = rpt.report(model, inputs=torch.randn(1, 3, 4, 4))
    torch.set_rng_state(random)
    torch.randn(1, 3, 4, 4)  # the argument, not the report
    after = torch.get_rng_state()
    torch.set_rng_state(random)
    rpt.report(model, inputs=torch.randn(1, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), after)
    assert report.macs == 4 * 27 * 4 + 32
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(one.grad is None for one in model.parameters())
    with pytest.raises(RuntimeError):
        rpt.report(model, inputs=torch.randn(1, 5, 4, 4))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_that_run_twice_and_compiled_models_are_counted() -> None:
    layer = nn.Linear(4, 4)
    assert work(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 4)) == (32, ())
    assert work(torch.compile(nn.Sequential(layer), backend="eager"), torch.zeros(1, 4)) == (16, ())  # type: ignore[arg-type]


def test_all_parameters_count_once() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10), nn.BatchNorm1d(10))
    model[1].weight = model[0].weight
    rpt.prune(model, 0.5)
    report = rpt.report(model)
    assert (report.size, report.size_nz) == (100 + 10 + 10 + 20, 90)
    assert report.compression_ratio == 140 / 90
    model[1].weight = nn.Parameter(
        model.get_parameter("0.weight").detach()
    )  # another parameter, the same memory
    assert rpt.report(model).size == 140


def test_the_paper_network_compresses_as_its_counts_say() -> None:
    model = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    masks = rpt.masks(model, {"0.*": 0.92, "2.*": 0.91, "4.*": 0.74})
    report = rpt.report(model, masks, details=False)
    assert (report.size, report.num_kept) == (266_610, 18_816 + 2_700 + 260)
    assert report.num_entries / report.num_kept == pytest.approx(12.22, abs=0.005)


def test_masks_and_values_that_disagree_are_told() -> None:
    model = mlp()
    rpt.prune(model, 0.5)
    assert (rpt.report(model).leaks, rpt.report(model).zeros) == ({}, {})
    masks = rpt.held_masks(model)
    with torch.no_grad():
        model.get_parameter("0.weight")[~masks["0.weight"]] = 1.0
        model.get_parameter("2.weight")[0, 0] = torch.nan
        model.get_parameter("4.weight")[0] = 0.0
    report = rpt.report(model)
    assert report.leaks == {"0.weight": 120} | ({} if masks["2.weight"][0, 0] else {"2.weight": 1})
    assert report.zeros == {"4.weight": int(masks["4.weight"][0].sum())}
    assert [one.num_nonzero for one in report.targets] == [
        int((model.get_parameter(one.name) != 0).sum()) for one in report.targets
    ]
    assert "0.weight: 120 entries are pruned and not zero" in str(report)
    assert "4.weight: " in str(report)


def test_before_masks_are_applied_the_report_tells_how_they_decide() -> None:
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -2, 2, 1], [0, 2, -5, -0.0]]))
    masks = rpt.masks(model, 0.5)
    [target] = rpt.report(model, masks).targets
    assert (target.threshold, target.largest_pruned, target.num_ties) == (2.0, 2.0, 3)
    rpt.hold(model, rpt.masks(model, 0.625))
    [target] = rpt.report(model).targets
    assert (target.threshold, target.largest_pruned, target.num_ties) == (2.0, 0.0, 1)
    assert (target.num_empty_rows, target.num_empty_columns) == (0, 1)


@given(data=st.data())
def test_facts_are_those_of_the_definition(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(3,), (5, 7), (17, 3), (20, 2, 3, 3), (1, 1), (9, 8), (4, 0)]))
    dtype = data.draw(
        st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float8_e5m2])
    )
    seed = data.draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-3, 4, shape, generator=generator).to(torch.float32)
    kept = torch.rand(shape, generator=generator) < data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    model = nn.Module()
    model.weight = nn.Parameter(values.to(dtype))
    if len(shape) == 4 and data.draw(st.booleans()):
        model.to(memory_format=torch.channels_last)
    [found] = rpt.report(model, rpt.Masks({"weight": kept})).targets
    array, mask = np.abs(values.numpy()), kept.numpy()
    threshold = float(array[mask].min()) if mask.any() else None
    assert found.num_leaks == np.count_nonzero(array[~mask])
    assert found.num_zeros == np.count_nonzero(array[mask] == 0)
    assert found.threshold == threshold
    assert found.largest_pruned == (float(array[~mask].max()) if (~mask).any() else None)
    assert found.num_ties == (0 if threshold is None else np.count_nonzero(array == threshold))
    matrix = mask.reshape(len(mask) if mask.ndim > 1 else 1, -1) if mask.size else np.ones((0, 0), bool)
    assert found.num_empty_rows == np.count_nonzero(~matrix.any(axis=1))
    assert found.num_empty_columns == np.count_nonzero(~matrix.any(axis=0))
    assert found.collapsed == (mask.size > 0 and not mask.any())


def test_many_blocks_are_as_one() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1001, 1500, bias=False)  # several blocks, and rows that start within bytes
    masks = rpt.masks(model, 0.9999)
    [target] = rpt.report(model, masks).targets
    mask, magnitude = masks["weight"], model.weight.detach().abs()
    assert target.threshold == float(magnitude[mask].min())
    assert target.largest_pruned == float(magnitude[~mask].max())
    assert target.num_leaks == int((magnitude[~mask] != 0).sum())
    assert target.num_empty_rows == int((~mask.any(1)).sum())
    assert target.num_empty_columns == int((~mask.any(0)).sum())


def test_a_model_without_masks_is_reported_by_its_zeros() -> None:
    model = mlp()
    rpt.prune(model, 0.5)
    held = rpt.report(model, details=False)
    rpt.finalize(model)
    report = rpt.report(model, details=False)
    assert report.by_value
    assert report.targets == held.targets
    assert str(report) == "\n".join(
        [
            *str(held).split("\n")[:4],
            "no masks are held: entries that are zero count as pruned",
            *str(held).split("\n")[4:],
        ]
    )


def test_masks_held_on_parts_are_those_of_the_whole() -> None:
    model = mlp()
    rpt.prune(model[4], 0.5)
    rpt.prune(model[0], 0.25)
    whole = nn.ModuleDict({"net": model})
    report = rpt.report(whole)
    assert [(one.name, one.num_kept) for one in report.targets] == [
        ("net.0.weight", 180),
        ("net.4.weight", 23),
    ]
    assert rpt.is_pruned(whole)
    assert not rpt.is_pruned(model[2])
    rpt.prune(model, 0.5, targets=["4"])
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(1.0)
    assert rpt.finalize(model).num_kept == 180 + 23
    assert not rpt.is_pruned(whole)


def test_a_report_is_a_table_json_csv_and_markdown(tmp_path: Path) -> None:
    model = mlp()
    rpt.prune(model, {"0.*": 1.0, "2.*": 0.5})
    report = rpt.report(model, inputs=torch.zeros(1, 20))
    facts = json.loads(report.to_json(tmp_path / "report.json"))
    assert json.loads((tmp_path / "report.json").read_text()) == facts
    assert facts["size"] == sum(one.numel() for one in model.parameters())
    assert (facts["flops"], facts["flops_nz"]) == (393, 54 + 45)
    assert facts["theoretical_speedup"] == 393 / 99
    assert [row["num_kept"] for row in facts["targets"]] == [0, 54, 45]
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["name"] for row in rows] == ["0.weight", "2.weight", "4.weight"]
    assert rows[0] | {"shape": "12x20", "num_kept": "0", "sparsity": "1.0", "threshold": ""} == rows[0]
    assert rows[1]["macs_nz"] == "54"
    head, rule, *lines = report.to_markdown().split("\n")
    assert head.startswith("| entries | kept | sparsity | threshold |")
    assert rule.count("|") == head.count("|") == lines[0].count("|")
    text = str(report).split("\n")
    assert (
        len({line.index(name) for line, name in zip(text, ["target", "0.w", "2.w", "4.w"], strict=False)})
        == 1
    )
    assert "0.weight: collapsed, nothing is kept" in text
    assert "99 of 393 multiply-adds with kept weights: theoretical speed-up 3.97, which is no timing" in text


def test_nothing_kept_is_an_infinite_ratio() -> None:
    model = nn.Linear(4, 2, bias=False)
    rpt.prune(model, 1.0)
    report = rpt.report(model, inputs=torch.zeros(4))
    assert report.compression_ratio == report.theoretical_speedup == math.inf
    assert json.loads(report.to_json())["compression_ratio"] == "inf"


def test_masks_that_do_not_fit_are_refused() -> None:
    model = mlp()
    ones = torch.ones(3, dtype=torch.bool)
    with pytest.raises(
        ValueError, match=r"0.weight: expected a parameter of shape \(12, 20\), got \(3,\)|got"
    ):
        rpt.report(model, rpt.Masks({"0.weight": ones}))
    with pytest.raises(ValueError, match="none of that name"):
        rpt.report(model, rpt.Masks({"9.weight": ones}))
    with pytest.raises(ValueError, match="expected a parameter to prune, got none"):
        rpt.report(nn.ReLU())
