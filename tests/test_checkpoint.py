"""Checkpoints in and out: what is pruned, what survives, what is refused, what a kill leaves."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch

import rustprune
from checkpoints import (
    Tensor,
    contents,
    minilm,
    normal,
    num_zeros,
    packed,
    sharded,
    tensor,
    unpacked,
    with_header,
    words,
)
from rustprune._checkpoint import PruneReport, inspect_checkpoint, prune_checkpoint
from rustprune._checkpoint.targets import choose

REQUESTS = [
    {"ratio": 0.9},
    {"ratio": 0.9, "scope": "global"},
    {"ratio": 0.9, "scope": "row"},
    {"pattern": "2:4"},
    {"pattern": "1:4"},
    {"ratio": 0.3, "method": "random", "seed": 7},
    {"ratio": 0.3, "method": "random", "seed": 7, "scope": "global"},
    {"count": 1000},
    {"ratio": 0.0},
    {"ratio": 1.0},
]


def targets_of(file: bytes, report: PruneReport) -> dict[str, Tensor]:
    tensors = unpacked(file)[1]
    return {target.name: tensors[target.name] for target in report.tensors}


def prune_bytes(path: Path, file: bytes, **request: object) -> tuple[bytes, PruneReport]:
    """Prune a checkpoint of one file."""
    path.mkdir(exist_ok=True)
    src, out = path / "in.safetensors", path / "out.safetensors"
    src.write_bytes(file)
    report = prune_checkpoint(src, out, force=True, **request)  # type: ignore[arg-type]
    assert src.read_bytes() == file
    return out.read_bytes(), report


# What is pruned, and what survives


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_real_model_has_the_masks_of_its_arrays_and_every_other_byte(
    request_: dict[str, object], tmp_path: Path
) -> None:
    src = minilm()
    report = prune_checkpoint(src, tmp_path / "out", **request_)  # type: ignore[arg-type]
    before, after = contents(src), contents(tmp_path / "out")
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["model.safetensors"] * (
        request_.get("ratio") != 0.0
    )
    (header, tensors), (new_header, pruned) = (unpacked(it["model.safetensors"]) for it in (before, after))
    assert header == new_header
    weights = {target.name: words(tensors[target.name]).view(np.float32) for target in report.tensors}
    assert len(weights) == 37
    masks = rustprune.mask(weights, **request_)  # type: ignore[call-overload]
    for name, mask in masks.items():
        tensors[name] = tensor(np.where(mask, weights[name], np.float32(0)))
    assert tensors == pruned
    achieved = [target.summary.num_pruned for target in report.tensors]
    assert achieved == [int((~mask).sum()) for mask in masks.values()]
    assert report.num_requested == report.total.num_pruned == sum(achieved)


@pytest.mark.parametrize("scope", ["tensor", "global"])
def test_torch_and_safetensors_load_exactly_the_count_asked_for(scope: str, tmp_path: Path) -> None:
    src = minilm() / "model.safetensors"
    report = prune_checkpoint(src, tmp_path / "out.safetensors", 0.9, scope=scope)  # type: ignore[arg-type]
    before = safetensors.torch.load_file(src)
    after = safetensors.torch.load_file(tmp_path / "out.safetensors")
    names = {target.name for target in report.tensors}
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - names)
    zeros = {name: int((after[name] == 0).sum() - (before[name] == 0).sum()) for name in names}
    sizes = {name: before[name].numel() for name in names}
    assert sum(int((before[name] == 0).sum()) for name in names) == 0
    if scope == "global":
        assert sum(zeros.values()) == round(0.9 * sum(sizes.values()))
    else:
        assert zeros == {name: round(0.9 * size) for name, size in sizes.items()}


def test_sharding_changes_nothing(tmp_path: Path) -> None:
    tensors = {f"{name}.weight": normal(seed, 40, 30) for seed, name in enumerate("dacb")}
    whole, _ = prune_bytes(tmp_path / "whole", packed(tensors), ratio=0.5, scope="global")
    names = list(tensors)
    shards = {
        f"model-{at + 1:05}-of-00002.safetensors": {name: tensors[name] for name in names[at::2]}
        for at in range(2)
    }
    src = sharded(tmp_path / "in", shards)
    prune_checkpoint(src, tmp_path / "out", 0.5, scope="global")
    before, after = contents(src), contents(tmp_path / "out")
    pruned: dict[str, Tensor] = {}
    for shard in shards:
        assert unpacked(before.pop(shard))[0] == unpacked(after[shard])[0]
        pruned |= unpacked(after.pop(shard))[1]
    assert before == after
    assert pruned == unpacked(whole)[1]


def test_the_order_of_ties_is_that_of_the_names(tmp_path: Path) -> None:
    ones = tensor(np.ones((2, 2), np.float32))
    file, _ = prune_bytes(
        tmp_path, packed({"b.weight": ones, "a.weight": ones, "c.weight": ones}), count=5, scope="global"
    )
    assert {name: num_zeros(it) for name, it in unpacked(file)[1].items()} == {
        "a.weight": 0,
        "b.weight": 1,
        "c.weight": 4,
    }


def test_headers_survive_whatever_their_order_and_padding(tmp_path: Path) -> None:
    weight = normal(0, 4, 4)
    header = (
        '  {\n"b.weight": {"data_offsets": [68, 132], "shape": [4, 4], "dtype": "F32", "more": null},'
        '"\\u0061": {"dtype":"F32","shape":[],"data_offsets":[64,68]},'
        '"c.weight": {"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}, "__metadata__": null}   '
    )
    file = with_header(header, weight.data + b"last" + weight.data)
    pruned, report = prune_bytes(tmp_path, file, ratio=0.5)
    assert [target.name for target in report.tensors] == ["b.weight", "c.weight"]
    assert pruned[: 8 + len(header)] == file[: 8 + len(header)]
    assert unpacked(pruned)[1]["a"].data == b"last"
    assert num_zeros(unpacked(pruned)[1]["c.weight"]) == 8


FORMATS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}


@pytest.mark.parametrize("scope", ["tensor", "global", "row"])
def test_every_float_format_is_pruned_and_formats_compete(scope: str, tmp_path: Path) -> None:
    arrays = {
        f"{at}.weight": np.random.default_rng(at).standard_normal((63, 33)).astype(dtype)
        for at, dtype in enumerate(FORMATS.values())
    }
    tensors = {
        name: tensor(array.view(f"u{array.itemsize}"), dtype)
        for (name, array), dtype in zip(arrays.items(), FORMATS, strict=True)
    }
    file, _ = prune_bytes(tmp_path, packed(tensors), ratio=0.4, scope=scope)
    masks = rustprune.mask(arrays, 0.4, scope=scope)  # type: ignore[call-overload]
    for name, pruned in unpacked(file)[1].items():
        np.testing.assert_array_equal(words(pruned), np.where(masks[name], words(tensors[name]), 0))


def test_patterns_group_input_channels_of_convolutions(tmp_path: Path) -> None:
    conv, linear = normal(0, 6, 8, 3, 3), normal(1, 6, 8)
    file, _ = prune_bytes(tmp_path, packed({"c.weight": conv, "l.weight": linear}), pattern="2:4")
    pruned = {name: words(it).view(np.float32) for name, it in unpacked(file)[1].items()}
    assert ((pruned["c.weight"] == 0).reshape(6, 2, 4, 3, 3).sum(axis=2) == 2).all()
    assert ((pruned["l.weight"] == 0).reshape(6, 2, 4).sum(axis=2) == 2).all()


def test_empty_and_scalar_tensors_are_ordinary(tmp_path: Path) -> None:
    tensors = {
        "e.weight": Tensor("F32", (0, 4), b""),
        "s": tensor(np.ones((), np.float32)),
        "w": normal(0, 3),
    }
    _, report = prune_bytes(tmp_path, packed(tensors), ratio=0.5, targets=["*"])
    assert [target.summary.num_pruned for target in report.tensors] == [0, 0, 2]
    _, report = prune_bytes(tmp_path, packed(tensors), ratio=1.0, scope="row", targets=["*"])
    assert [target.num_requested for target in report.tensors] == [0, 1, 3]


def test_thresholds_and_ties_are_reported(tmp_path: Path) -> None:
    weights = tensor(np.array([[1, 2, 2, 2], [3, 4, 5, 6]], np.float32))
    _, report = prune_bytes(tmp_path, packed({"weight": weights}), count=2)
    (target,) = report.tensors
    assert target.summary == rustprune.Summary(num_entries=8, num_pruned=2, threshold=2.0, num_ties=3)
    assert (target.num_requested, target.file, target.dtype, target.shape) == (
        2,
        "in.safetensors",
        "F32",
        (2, 4),
    )


# Which tensors


NAMES = [
    # BERT
    *(
        "embeddings.word_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "encoder.layer.0.output.dense.weight",
    ),
    *("encoder.layer.0.attention.self.query.weight", "cls.predictions.decoder.weight", "pooler.dense.weight"),
    # GPT-2, T5, Llama
    *("wte.weight", "transformer.wpe.weight", "h.0.ln_1.weight", "h.0.attn.c_attn.weight", "ln_f.weight"),
    *("shared.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
    *(
        "model.embed_tokens.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.norm.weight",
        "lm_head.weight",
    ),
    # ResNet, a lone layer, what is no weight
    *(
        "conv1.weight",
        "bn1.weight",
        "layer1.0.bn2.weight",
        "fc.weight",
        "weight",
        "fc.bias",
        "weights",
        "fc.w",
    ),
]
CHOSEN = [
    *("conv1.weight", "encoder.layer.0.attention.self.query.weight", "encoder.layer.0.output.dense.weight"),
    *(
        "fc.weight",
        "h.0.attn.c_attn.weight",
        "model.layers.0.mlp.up_proj.weight",
        "pooler.dense.weight",
        "weight",
    ),
]


def chosen(names: Sequence[str], *options: Sequence[str], shape: tuple[int, ...] = (2, 2)) -> list[str]:
    from rustprune._checkpoint.files import Tensor

    places, _ = choose([[Tensor(name, "F32", shape, "float32") for name in names]], *options or ((), ()))
    return [place.tensor.name for place in places]


def test_weights_are_targets_and_embeddings_norms_and_heads_are_not() -> None:
    assert chosen(NAMES) == CHOSEN


def test_tensors_of_one_dimension_are_targets_when_they_are_named() -> None:
    assert chosen(["a.weight"], shape=(4,)) == []
    assert chosen(["a.weight"], ["a.weight"], (), shape=(4,)) == ["a.weight"]


@pytest.mark.parametrize(
    ("targets", "ignore", "expected"),
    [
        (["fc.bias"], [], ["fc.bias"]),
        (["*.ln_?.weight"], [], ["h.0.ln_1.weight"]),
        ([r"re:.*\.(up_proj|query)\.weight"], [], [CHOSEN[1], CHOSEN[5]]),
        (["re:fc"], ["*.bias"], ["fc.w", "fc.weight"]),
        ([], ["weight", "re:.*dense"], [name for name in CHOSEN if name != "weight" and "dense" not in name]),
    ],
)
def test_targets_replace_the_defaults_and_ignore_takes_away(
    targets: list[str], ignore: list[str], expected: list[str]
) -> None:
    assert chosen(NAMES, targets, ignore) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["no.such"]}, "targets: expected the name of a tensor, no name matches 'no.such'"),
        ({"ignore": ["re:^no"]}, "ignore: expected the name of a tensor, no name matches 're:^no'"),
        (
            {"targets": ["re:("]},
            "targets: expected a regular expression, got 're:(': missing ), unterminated",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(
    options: dict[str, list[str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r".*") as raised:
        prune_bytes(tmp_path, packed({"a.weight": normal(0, 2, 2)}), ratio=0.5, **options)
    assert str(raised.value).startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_quantised_tensors_are_left_as_they_are_and_said_so(tmp_path: Path) -> None:
    byte = Tensor("I8", (2, 2), b"abcd")
    tensors = {
        "a.weight": byte,
        "b.weight": byte._replace(dtype="F8_E4M3FNUZ"),
        "c.weight": byte._replace(dtype="F8_E4M3"),
        "c.weight_scale": normal(0, 1),
        "d.weight_packed": byte,
        "e.weight": normal(1, 2, 2),
    }
    file, report = prune_bytes(tmp_path, packed(tensors), ratio=1.0)
    assert [target.name for target in report.tensors] == ["e.weight"]
    assert dict(report.skipped) == {
        "a.weight": "dtype I8 is no floating-point format that can be pruned",
        "b.weight": "dtype F8_E4M3FNUZ is no floating-point format that can be pruned",
        "c.weight": "quantised: it has a scale",
        "c.weight_scale": "quantised weights or their scale",
        "d.weight_packed": "quantised weights or their scale",
    }
    pruned = unpacked(file)[1]
    assert all(pruned[name] == tensors[name] for name in tensors if name != "e.weight")


def test_a_checkpoint_without_targets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"in\.safetensors: expected a tensor to prune, got none; 1 were skipped"
    ):
        prune_bytes(tmp_path, packed({"a.weight": Tensor("I8", (2, 2), b"abcd")}), ratio=0.5)


# Directories


def test_weights_of_other_formats_are_left_out_with_a_warning(tmp_path: Path) -> None:
    src = tmp_path / "in"
    src.mkdir()
    (src / "model.safetensors").write_bytes(packed({"weight": normal(0, 2, 2)}))
    for name in (
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "x.pt",
        "y.pth",
        "z.msgpack",
    ):
        (src / name).write_text("weights")
    (src / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    (src / ".git").mkdir()
    (src / ".model.safetensors.rustprune-12.tmp").write_text("left by a killed process")
    report = prune_checkpoint(src, tmp_path / "out", 0.5)
    assert sorted(contents(tmp_path / "out")) == ["config.json", "model.safetensors"]
    assert len(report.warnings) == 8
    assert report.warnings[:2] == (
        "config.json: the model is quantised; only its floating-point tensors can be pruned",
        "pytorch_model.bin: left out, other weights than those pruned",
    )
    assert report.warnings[-1] == ".git: left out, a hidden directory"


def test_links_are_followed_and_copied_as_files(tmp_path: Path) -> None:
    file = packed({"weight": normal(0, 2, 2)})
    (tmp_path / "blob").write_bytes(file)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "model.safetensors").symlink_to("../blob")
    (tmp_path / "in" / "config.json").symlink_to("../blob")
    prune_checkpoint(tmp_path / "in", tmp_path / "out", 0.5)
    assert (tmp_path / "out" / "config.json").read_bytes() == file
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())
    prune_checkpoint(tmp_path / "in", ratio=0.5, in_place=True)
    assert (tmp_path / "blob").read_bytes() == file
    assert contents(tmp_path / "in") == contents(tmp_path / "out")


def test_pruning_in_place_replaces_the_shards_and_nothing_else(tmp_path: Path) -> None:
    shards = {f"model-{at}-of-2.safetensors": {f"{at}.weight": normal(at, 20, 20)} for at in (1, 2)}
    src = sharded(tmp_path / "in", shards)
    (src / "model-1-of-2.safetensors").chmod(0o640)
    prune_checkpoint(src, tmp_path / "out", 0.5)
    before = {path: path.stat().st_ino for path in src.rglob("*")}
    prune_checkpoint(src, ratio=0.5, in_place=True)
    assert contents(src) == contents(tmp_path / "out")
    changed = {path.name for path, inode in before.items() if path.stat().st_ino != inode}
    assert changed == shards.keys()
    assert (src / "model-1-of-2.safetensors").stat().st_mode & 0o777 == 0o640


# What is refused


def entry(dtype: str = "F32", shape: object = (2, 2), begin: int = 0, end: int = 16) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "expected at least 8 bytes, got 0"),
    "header length of 0": (with_header(""), "header length must be 2 to 0, got 0"),
    "header length above the file": (b"\xff\0\0\0\0\0\0\0{}", "header length must be 2 to 2, got 255"),
    "header length of 2**64 - 1": (b"\xff" * 8 + b"{}", f"header length must be 2 to 2, got {2**64 - 1}"),
    "no UTF-8": (with_header(b'{"\xff": 1}'), "expected a header in UTF-8, got invalid utf-8"),
    "no JSON": (
        with_header("{nonsense"),
        "expected a header that is a JSON object, got key must be a string",
    ),
    "no object": (
        with_header("[1, 2]"),
        "expected a header that is a JSON object, got invalid type: sequence",
    ),
    "no dtype": (
        with_header(json.dumps({"weight": {"shape": [2, 2]}})),
        'tensor "weight" must have a dtype, a shape and two data_offsets of whole numbers',
    ),
    "unknown dtype": (
        with_header(json.dumps({"weight": entry("F31")}), bytes(16)),
        'tensor "weight" must have a known dtype, got "F31"',
    ),
    "size against shape": (
        with_header(json.dumps({"weight": entry(shape=[2, 3])}), bytes(16)),
        'tensor "weight" must span the 24 bytes of its shape and dtype, got offsets 0 to 16',
    ),
    "shape of 2**64 entries": (
        with_header(json.dumps({"weight": entry(shape=[2**32, 2**32])}), bytes(16)),
        'tensor "weight" must fill whole bytes, fewer than 2**61 of them',
    ),
    "overlap": (
        with_header(json.dumps({"a": entry(), "weight": entry(begin=8, end=24)}), bytes(24)),
        'tensor "weight" must begin where the one before it ends, at offset 16, got 8',
    ),
    "hole": (
        with_header(json.dumps({"a": entry(), "weight": entry(begin=20, end=36)}), bytes(36)),
        'tensor "weight" must begin where the one before it ends, at offset 16, got 20',
    ),
    "out of range": (
        with_header(json.dumps({"weight": entry(shape=[2**40, 2], end=2**43)}), bytes(16)),
        f'tensor "weight" must end within the 16 bytes of data that the file holds, got {2**43}',
    ),
    "truncated": (
        packed({"weight": normal(0, 2, 2)})[:-1],
        'tensor "weight" must end within the 15 bytes of data that the file holds, got 16',
    ),
    "trailing": (
        packed({"weight": normal(0, 2, 2)}) + b"x",
        "expected 16 bytes of data, as the header says, got 17",
    ),
    "a name twice": (
        with_header(
            f'{{"weight": {json.dumps(entry())}, "weight": {json.dumps(entry(begin=16, end=32))}}}', bytes(32)
        ),
        'tensor "weight" must be listed once, got it twice',
    ),
    "metadata": (with_header('{"__metadata__": {"a": 1}}'), "__metadata__ must map strings to strings"),
}


@pytest.mark.parametrize("defect", MALFORMED)
@pytest.mark.parametrize(
    "work", [lambda src: prune_checkpoint(src, src.with_name("out"), 0.5), inspect_checkpoint]
)
def test_malformed_files_give_one_clear_error_and_write_nothing(
    defect: str, work: Callable[[Path], object], tmp_path: Path
) -> None:
    file, message = MALFORMED[defect]
    src = tmp_path / "in.safetensors"
    src.write_bytes(file)
    with pytest.raises(ValueError, match=r".*") as raised:
        work(src)
    assert str(raised.value).startswith(f"{src}: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def break_index(text: str) -> Callable[[Path], object]:
    return lambda src: (src / "model.safetensors.index.json").write_text(text)


def weight_map(**changed: object) -> Callable[[Path], object]:
    good: dict[str, object] = {f"{at}.weight": f"model-{at}-of-2.safetensors" for at in (1, 2)}
    return break_index(json.dumps({"weight_map": good | changed}))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard is missing": (
        lambda src: (src / "model-2-of-2.safetensors").unlink(),
        "model-2-of-2.safetensors: the shard is missing, which model.safetensors.index.json lists",
    ),
    "a shard is missing from the index": (
        break_index('{"weight_map": {"1.weight": "model-1-of-2.safetensors"}}'),
        "model-2-of-2.safetensors: the shard is missing from model.safetensors.index.json",
    ),
    "a tensor is missing": (
        weight_map(other="model-1-of-2.safetensors"),
        "model-1-of-2.safetensors: tensor 'other' is missing, which model.safetensors.index.json lists",
    ),
    "a tensor is elsewhere": (
        weight_map(**{"1.weight": "model-2-of-2.safetensors", "x": "model-1-of-2.safetensors"}),
        "model-2-of-2.safetensors: tensor '1.weight' is missing, which model.safetensors.index.json lists",
    ),
    "a tensor is in two shards": (
        lambda src: (src / "model-2-of-2.safetensors").write_bytes(
            (src / "model-1-of-2.safetensors").read_bytes()
        ),
        "model-2-of-2.safetensors: tensor '1.weight' is in model-1-of-2.safetensors as well",
    ),
    "the index is no JSON": (break_index("{"), "model.safetensors.index.json: expected JSON, got "),
    "the index is no map": (
        break_index('{"weight_map": []}'),
        "model.safetensors.index.json: expected an object with a weight_map of names to files",
    ),
    "a shard is outside": (
        weight_map(x="../model-1-of-2.safetensors"),
        "model.safetensors.index.json: tensor 'x' must be in a .safetensors file beside it, got '../model",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_broken_directories_give_one_clear_error_and_write_nothing(defect: str, tmp_path: Path) -> None:
    damage, message = BROKEN[defect]
    src = sharded(
        tmp_path / "in", {f"model-{at}-of-2.safetensors": {f"{at}.weight": normal(at, 2, 2)} for at in (1, 2)}
    )
    damage(src)
    with pytest.raises(ValueError, match=r".*") as raised:
        prune_checkpoint(src, tmp_path / "out", 0.5)
    assert str(raised.value).startswith(f"{src}/{message}")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_nan_is_an_error_that_names_tensor_and_entry_and_leaves_nothing(tmp_path: Path) -> None:
    weights = np.ones((4, 4), np.float32)
    weights[2, 1] = np.nan
    src = sharded(
        tmp_path / "in", {"model.safetensors": {"b.weight": normal(0, 4, 4), "a.weight": tensor(weights)}}
    )
    for scope, pattern in itertools.product(("tensor", "global", "row"), (None, "2:4")):
        request: dict[str, object] = {"pattern": pattern} if pattern else {"scope": scope, "ratio": 0.5}
        with pytest.raises(
            ValueError, match=r"a\.weight: expected no NaN, got one at flat index 9; pass nan="
        ):
            prune_checkpoint(src, tmp_path / "out", **request)  # type: ignore[arg-type]
        assert [path.name for path in tmp_path.iterdir()] == ["in"]
    report = prune_checkpoint(src, tmp_path / "out", 0.5, nan="prune")
    assert report.total.num_pruned == 16


def test_bad_requests_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    requests: list[tuple[dict[str, object], str]] = [
        ({}, "expected exactly one of ratio, count and pattern"),
        ({"ratio": 1.5}, "ratio must be between 0 and 1, got 1.5"),
        ({"ratio": 0.5, "method": "random"}, "needs a seed"),
        ({"ratio": 0.5, "seed": 1}, "seed must be left out unless method is 'random', got 1"),
        ({"pattern": "2:3"}, "weight: the grouped axis must be divisible by 3, got length 4"),
        ({"count": 17}, "count must be at most the number of entries in an array, 16, got 17"),
    ]
    for request, message in requests:
        with pytest.raises(ValueError, match=r".*") as raised:
            prune_bytes(tmp_path, packed({"weight": normal(0, 4, 4)}), **request)
        assert message in str(raised.value)
        assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_outputs_that_exist_are_refused_unless_forced(tmp_path: Path) -> None:
    src = sharded(tmp_path / "in", {"model.safetensors": {"weight": normal(0, 4, 4)}})
    out, masks = tmp_path / "out", tmp_path / "m.mask.safetensors"
    prune_checkpoint(src, out, 0.25, masks=masks)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="out: exists; --force replaces it"):
        prune_checkpoint(src, out, 0.5)
    with pytest.raises(FileExistsError, match=r"m\.mask\.safetensors: exists; --force replaces it"):
        prune_checkpoint(src, tmp_path / "other", 0.5, masks=masks)
    assert contents(tmp_path) == before
    prune_checkpoint(src, out, 0.5, masks=masks, force=True)
    assert num_zeros(unpacked((out / "model.safetensors").read_bytes())[1]["weight"]) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "m.mask.safetensors", "out"]


def test_a_directory_with_files_of_others_is_not_replaced(tmp_path: Path) -> None:
    src = sharded(tmp_path / "in", {"model.safetensors": {"weight": normal(0, 4, 4)}})
    prune_checkpoint(src, tmp_path / "out", 0.5)
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(
        ValueError, match=r"thesis\.tex: not replaced, since the checkpoint .*in has no such file"
    ):
        prune_checkpoint(src, tmp_path / "out", 0.5, force=True)


def test_outputs_and_sources_do_not_lie_inside_each_other(tmp_path: Path) -> None:
    src = sharded(tmp_path / "in", {"model.safetensors": {"weight": normal(0, 4, 4)}})
    (tmp_path / "link").symlink_to("in")
    file = src / "model.safetensors"
    before = contents(src)
    for source, out, message in [
        (src, src, "the output is the checkpoint itself"),
        (src, tmp_path / "link", "the output is the checkpoint itself"),
        (file, file, "the output is the checkpoint itself"),
        (src, src / "out", "must not lie inside each other"),
        (src, tmp_path / "link" / "out", "must not lie inside each other"),
        (src, tmp_path, "must not lie inside each other"),
        (file, tmp_path / "config", "no such directory"),
    ]:
        target = out if message != "no such directory" else out / "out.safetensors"
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            prune_checkpoint(source, target, 0.5, force=True)
    (tmp_path / "directory").mkdir()
    with pytest.raises(ValueError, match="expected a file to replace"):
        prune_checkpoint(file, tmp_path / "directory", 0.5, force=True)
    assert contents(src) == before


# The mask side file


@pytest.mark.parametrize(
    "shape", [(3, 9), (4, 64), (5, 7, 3, 3), (3, 70001), (70001, 3), (1,), (9,), (0, 3), (3, 0)]
)
@pytest.mark.parametrize(
    "request_", [{"ratio": 0.3}, {"ratio": 0.6, "method": "random", "seed": 2**63}], ids=str
)
def test_the_mask_file_holds_the_rows_of_the_matrix_view(
    shape: tuple[int, ...], request_: dict[str, object], tmp_path: Path
) -> None:
    tensors = {"b.weight": normal(0, *shape), "a.weight": normal(1, *shape)}
    masks = tmp_path / "m.mask.safetensors"
    file, report = prune_bytes(tmp_path, packed(tensors), masks=masks, targets=["*"], **request_)
    weights = {name: words(tensors[name]).view(np.float32) for name in sorted(tensors)}
    for name, stored in unpacked(masks.read_bytes())[1].items():
        mask = rustprune.mask(weights, **request_)[name]  # type: ignore[call-overload]
        rows = mask.reshape(shape[0] if len(shape) > 1 else 1, -1 if mask.size else math.prod(shape[1:]))
        assert (stored.dtype, stored.shape) == ("U8", (len(rows), -(-rows.shape[1] // 8)))
        np.testing.assert_array_equal(words(stored), np.packbits(rows, axis=-1, bitorder="little"))
    with safetensors.safe_open(masks, "numpy") as opened:
        metadata = opened.metadata()
    kept = {target.name: target.summary.num_kept for target in report.tensors}
    digests = [hashlib.sha256(tensors[name].data).digest() for name in sorted(tensors)]
    assert metadata["rustprune.format"] == "mask/1"
    assert json.loads(metadata["rustprune.shapes"]) == {name: list(shape) for name in tensors}
    assert json.loads(metadata["rustprune.num_kept"]) == kept
    assert metadata["rustprune.source_sha256"] == hashlib.sha256(b"".join(digests)).hexdigest()
    assert metadata["rustprune.method"] == request_.get("method", "magnitude")
    assert metadata.get("rustprune.seed") == ("9223372036854775808" if "seed" in request_ else None)
    params = {"scope": "tensor", "ratio": request_["ratio"], "nan": "raise"}
    assert json.loads(metadata["rustprune.params"]) == params
    assert num_zeros(unpacked(file)[1]["a.weight"]) == math.prod(shape) - kept["a.weight"]


def test_the_masks_can_lie_in_the_output_and_are_no_weights_there(tmp_path: Path) -> None:
    src = sharded(tmp_path / "in", {"model.safetensors": {"weight": normal(0, 4, 4)}})
    (src / "model.safetensors.index.json").unlink()
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"expected a name in \.mask\.safetensors inside .*out"):
        prune_checkpoint(src, out, 0.5, masks=out / "masks.safetensors")
    prune_checkpoint(src, out, 0.5, masks=out / "model.mask.safetensors")
    again = prune_checkpoint(out, tmp_path / "again", 0.75)
    assert [target.name for target in again.tensors] == ["weight"]
    assert sorted(contents(tmp_path / "again")) == sorted(contents(out))
    prune_checkpoint(src, out, 0.5, force=True)
    assert "model.mask.safetensors" not in contents(out)


def test_the_masks_need_a_file_of_their_own(tmp_path: Path) -> None:
    src, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    src.write_bytes(packed({"weight": normal(0, 4, 4)}))
    for masks in (src, out):
        with pytest.raises(ValueError, match="the masks need a file of their own"):
            prune_checkpoint(src, out, 0.5, masks=masks, force=True)


# Inspection


def test_inspection_agrees_with_numpy() -> None:
    src = minilm()
    report = inspect_checkpoint(src)
    _, tensors = unpacked((src / "model.safetensors").read_bytes())
    assert {it.name: (it.dtype, it.shape) for it in report.tensors} == {
        name: (it.dtype, it.shape) for name, it in tensors.items()
    }
    everything = []
    for inspected in report.tensors:
        if inspected.statistics is None:
            assert inspected.dtype == "I64"
            continue
        array = np.abs(words(tensors[inspected.name]).view(np.float32))
        everything.append(array.ravel())
        assert inspected.statistics.num_zeros == (array == 0).sum()
        levels = [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1]
        expected = np.quantile(array.astype(np.float64), levels, method="lower")
        assert list(inspected.statistics.magnitude.values()) == list(expected)
        for pattern, share in inspected.statistics.n_of_m.items():
            kept, group = map(int, pattern.split(":"))
            assert share == ((array.reshape(-1, group) != 0).sum(axis=1) <= kept).mean()
    whole = np.sort(np.concatenate(everything))
    assert report.total.num_entries == whole.size
    ranks = [percent * (whole.size - 1) // 100 for percent in (0, 1, 10, 50, 90, 99, 100)]
    assert list(report.total.magnitude.values()) == [float(whole[rank]) for rank in ranks]


def test_a_pruned_checkpoint_conforms_to_its_pattern(tmp_path: Path) -> None:
    tensors = {"c.weight": normal(0, 6, 8, 3, 3), "l.weight": normal(1, 6, 8), "o.weight": normal(2, 6, 7)}
    prune_bytes(tmp_path, packed(tensors), pattern="2:4", ignore=["o.weight"])
    conv, linear, odd = (it.statistics for it in inspect_checkpoint(tmp_path / "out.safetensors").tensors)
    assert conv is not None
    assert linear is not None
    assert odd is not None
    assert conv.n_of_m == linear.n_of_m == {"1:4": 0.0, "2:4": 1.0, "4:8": 1.0}
    assert (conv.sparsity, odd.sparsity, odd.n_of_m) == (0.5, 0.0, {})


# Kills, interrupts and memory, of a process of its own


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "rustprune", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        yield process


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Wait for the end of a process; return its exit code and its errors."""
    _, errors = process.communicate()
    return process.returncode, errors


def read(path: Path) -> object:
    """Return the content of a file or directory, None if there is neither."""
    return contents(path) if path.is_dir() else path.read_bytes() if path.exists() else None


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 600 MB, most of it a hole that takes no disk."""
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    tensors = {f"{at}.weight": Tensor("F32", (5000, 5000), b"") for at in range(6)}
    size = 5000 * 5000 * 4
    header = {
        name: {"dtype": "F32", "shape": it.shape, "data_offsets": [at * size, (at + 1) * size]}
        for at, (name, it) in enumerate(tensors.items())
    }
    path.write_bytes(with_header(json.dumps(header)))
    begin = path.stat().st_size
    os.truncate(path, begin + 6 * size)
    with path.open("r+b") as file:
        for at in (0, 3):
            file.seek(begin + at * size)
            file.write(normal(at, 2500, 5000).data)
    return path


@pytest.mark.parametrize("replaces", ["", "old"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_kill_at_any_moment_leaves_what_was_or_the_finished_output(
    kind: str,
    replaces: str,
    tmp_path: Path,
) -> None:
    src = minilm() if kind == "directory" else minilm() / "model.safetensors"
    old, new, out = (tmp_path / name for name in ("old", "new", "out"))
    prune_checkpoint(src, old, 0.25)
    begin = time.monotonic()
    with running("prune", src, new, "--ratio=0.5") as process:
        assert ended(process) == (0, b"")
    duration = time.monotonic() - begin
    before, after = read(old) if replaces else None, read(new)
    # Between two renames there is no directory of the name.
    allowed = [before, after, None] if kind == "directory" else [before, after]
    for trial in range(10):
        if read(out) != before:
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
            if replaces:
                shutil.copytree(old, out) if old.is_dir() else shutil.copy(old, out)
        with running("prune", src, out, "--ratio=0.5", "--force") as process:
            time.sleep(duration * np.random.default_rng(trial).uniform(0.3, 1.1))
            process.kill()
            ended(process)
        assert read(out) in allowed
    with running("prune", src, out, "--ratio=0.5", "--force") as process:
        assert ended(process) == (0, b"")
    assert read(out) == after
    left = {path.name for path in tmp_path.iterdir()} - {"old", "new", "out"}
    assert all(re.fullmatch(r"\.out\.rustprune-\d+(-\d+)?\.tmp", name) for name in left)


@pytest.mark.parametrize(
    "request_", [["--ratio=0.5"], ["--ratio=0.5", "--method=random", "--seed=1"]], ids=str
)
def test_an_interrupt_ends_the_work_within_a_second_and_leaves_nothing(
    request_: list[str], large: Path, tmp_path: Path
) -> None:
    with running("prune", large, tmp_path / "out.safetensors", *request_) as process:
        while process.poll() is None and not any(tmp_path.iterdir()):
            time.sleep(0.001)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert ended(process) == (1, b"\nAborted!\n")
    assert time.monotonic() - begin < 1.0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "request_",
    [
        ["--ratio=0.5"],
        ["--ratio=0.5", "--scope=global"],
        ["--ratio=0.5", "--scope=row"],
        ["--pattern=2:4"],
        ["--ratio=0.5", "--method=random", "--seed=1"],
        ["--ratio=0.5", "--masks"],
    ],
    ids=str,
)
def test_memory_does_not_grow_with_the_checkpoint(request_: list[str], large: Path, tmp_path: Path) -> None:
    masks = [tmp_path / "m.mask.safetensors"] if "--masks" in request_ else []
    with running("prune", large, tmp_path / "out.safetensors", *request_, *masks) as process:
        status = Path(f"/proc/{process.pid}/status")
        peak = 0
        while process.poll() is None:
            lines = status.read_text().splitlines()
            peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
            time.sleep(0.002)
        assert ended(process) == (0, b"")
    assert peak < 120_000  # kB: Python with NumPy takes 30,000, the weights are 600,000
