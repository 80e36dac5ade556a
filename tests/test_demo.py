"""``rustprune demo``: exact counts, accuracies in the order that is known, outputs that are what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import rustprune
import train_digits
from rustprune import _demo

OUTPUTS = {"digits.safetensors", "digits.mask.safetensors", "accuracy.png"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, Any]]:
    """Where a demo wrote, what it said and what it returned."""
    out_dir = tmp_path_factory.mktemp("demo")
    lines: list[str] = []
    result = _demo.run(out_dir, lines.append, as_json=False, force=False)
    return out_dir, lines, result


def mean(trial: dict[str, Any]) -> float:
    return float(np.mean(trial["accuracy"]))


def test_the_shipped_images_are_those_the_script_holds_out() -> None:
    _, pixels, _, labels = train_digits.split()
    digits = _demo.load()
    np.testing.assert_array_equal(digits.pixels, pixels)
    np.testing.assert_array_equal(digits.labels, labels)


def test_the_script_trains_a_classifier_as_good_as_the_shipped_one() -> None:
    pixels, _, labels, _ = train_digits.split()
    digits = _demo.load()
    again = train_digits.train(pixels, labels, seed=0)
    assert {name: param.shape for name, param in again.items()} == {
        name: param.shape for name, param in digits.params.items()
    }
    assert digits.accuracy({}) >= 0.955
    assert digits.accuracy(again) >= 0.955


def test_every_count_is_the_one_asked_for(shown: tuple[Path, list[str], dict[str, Any]]) -> None:
    trials = shown[2]["trials"]
    assert len(trials) == 21
    for trial in trials:
        assert trial["num_requested"] == round(50_200 * trial["ratio"])
        assert set(trial["num_pruned"]) == {trial["num_requested"]}


def test_global_magnitude_beats_magnitude_by_tensor_beats_random(
    shown: tuple[Path, list[str], dict[str, Any]],
) -> None:
    best, middle, worst = (mean(trial) for trial in shown[2]["trials"] if trial["ratio"] == 0.9)
    assert best >= middle + 0.1
    assert middle >= worst + 0.1


def test_the_outputs_load_elsewhere_and_agree(shown: tuple[Path, list[str], dict[str, Any]]) -> None:
    out_dir, _, result = shown
    assert {path.name for path in out_dir.iterdir()} == OUTPUTS
    digits = _demo.load()
    kept = rustprune.mask(digits.weights, 0.8, scope="global")
    pruned, masks = load_file(out_dir / "digits.safetensors"), load_file(out_dir / "digits.mask.safetensors")
    assert set(pruned) == set(digits.params)
    assert set(masks) == set(kept)
    for name, mask in kept.items():
        np.testing.assert_array_equal(pruned[name], digits.params[name] * mask)
        np.testing.assert_array_equal(masks[name], rustprune.pack(mask))
    assert result["checkpoint"]["num_zeros"] == 40_160
    assert (out_dir / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_a_person_reads_a_row_per_ratio(shown: tuple[Path, list[str], dict[str, Any]]) -> None:
    text = "\n".join(shown[1])
    assert " 0.80       40160     40160     40160     40160" in text
    assert max(map(len, text.splitlines()[:15])) <= 80


def test_json_is_the_whole_answer_and_says_nothing_else(tmp_path: Path) -> None:
    lines: list[str] = []
    result = _demo.run(tmp_path / "new" / "demo", lines.append, as_json=True, force=False)
    assert lines == []
    assert json.loads(json.dumps(result)) == result


def test_existing_outputs_are_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "accuracy.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"accuracy\.png: exists; --force replaces it"):
        _demo.run(tmp_path, print, as_json=False, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy.png"]
    _demo.run(tmp_path, print, as_json=False, force=True)
    assert {path.name for path in tmp_path.iterdir()} == OUTPUTS


def test_without_matplotlib_it_says_how_to_get_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    lines: list[str] = []
    result = _demo.run(tmp_path, lines.append, as_json=False, force=False)
    assert lines[-1] == "no plot: it needs matplotlib, pip install 'rustprune[plot]'"
    assert result["plot"] is None
    assert {path.name for path in tmp_path.iterdir()} == OUTPUTS - {"accuracy.png"}
