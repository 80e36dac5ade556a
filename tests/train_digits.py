"""Train the classifier that ``rustprune demo`` prunes: ``python tests/train_digits.py``.

It stands beside the tests because it needs what they need, scikit-learn, and because ``test_demo.py`` holds
the files it writes to the split below. The same machine and library versions write the same bytes.

An MLP 64-300-100-10 with ReLU on scikit-learn's 8x8 digits, pixels divided by 16: 1437 images to train on,
360 held out by ``train_test_split(random_state=0)``. Glorot normal initialisation, zero biases, Adam at
1.2e-3, 1000 steps of 60 images, in double precision; stored as float16, in which many magnitudes tie.
"""

from __future__ import annotations

import itertools
import pathlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Floats: TypeAlias = npt.NDArray[np.float64]

DATA = pathlib.Path(__file__).parents[1] / "python" / "rustprune" / "data"
WIDTHS = (64, 300, 100, 10)


def split() -> list[npt.NDArray[np.uint8]]:
    """Return the pixels to train on and held out, 0 to 16, then the labels of each."""
    digits = load_digits()
    parts = train_test_split(digits.data, digits.target, test_size=360, random_state=0)
    return [part.astype(np.uint8) for part in parts]


def train(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], *, seed: int) -> dict[str, Floats]:
    """Return the trained weights and biases by name."""
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(0.0, np.sqrt(2.0 / (fan_in + fan_out)), (fan_out, fan_in))
        for fan_in, fan_out in itertools.pairwise(WIDTHS)
    ]
    biases = [np.zeros(width) for width in WIDTHS[1:]]
    params = weights + biases
    first = [np.zeros_like(param) for param in params]
    second = [np.zeros_like(param) for param in params]
    for step in range(1, 1001):
        batch = rng.choice(len(labels), 60, replace=False)
        gradients = _gradients(weights, biases, pixels[batch] / 16.0, labels[batch])
        for param, gradient, m, v in zip(params, gradients, first, second, strict=True):
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient**2 - v)
            param -= 1.2e-3 * (m / (1.0 - 0.9**step)) / (np.sqrt(v / (1.0 - 0.999**step)) + 1e-8)
    names = [f"fc{layer}.{kind}" for kind in ("weight", "bias") for layer in (1, 2, 3)]
    return dict(zip(names, params, strict=True))


def _gradients(
    weights: list[Floats], biases: list[Floats], inputs: Floats, labels: npt.NDArray[np.uint8]
) -> list[Floats]:
    """Return the gradients of the mean cross-entropy, weights first."""
    signals = [inputs]
    for weight, bias in zip(weights, biases, strict=True):
        signals.append(np.maximum(signals[-1] @ weight.T + bias, 0.0))
    logits = signals[-2] @ weights[-1].T + biases[-1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1.0
    error /= len(labels)
    of_weights: list[Floats] = []
    of_biases: list[Floats] = []
    for weight, signal in zip(reversed(weights), reversed(signals[:-1]), strict=True):
        of_weights.insert(0, error.T @ signal)
        of_biases.insert(0, error.sum(axis=0))
        error = (error @ weight) * (signal > 0.0)
    return of_weights + of_biases


def main() -> None:
    """Write the classifier and its held-out images into the package."""
    train_pixels, test_pixels, train_labels, test_labels = split()
    params = train(train_pixels, train_labels, seed=0)
    halves = {name: param.astype(np.float16) for name, param in params.items()}
    (DATA / "digits.safetensors").write_bytes(save(halves, metadata={"format": "pt"}))
    np.savez_compressed(DATA / "digits_test.npz", pixels=test_pixels, labels=test_labels)


if __name__ == "__main__":
    main()
