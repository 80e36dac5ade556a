"""What the examples share: scikit-learn's 8x8 digits, two small networks, and how they are trained.

1437 images to train on, 360 held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

BATCH = 60


@dataclass(frozen=True)
class Digits:
    """Images of 64 pixels in [0, 1], and what they show."""

    images: Tensor
    labels: Tensor


def load() -> tuple[Digits, Digits]:
    """Return the digits to train on, and those held out."""
    found = load_digits()
    parts = train_test_split(found.data, found.target, test_size=360, random_state=0)
    train_images, test_images = (torch.tensor(part / 16.0, dtype=torch.float32) for part in parts[:2])
    train_labels, test_labels = (torch.tensor(part) for part in parts[2:])
    return Digits(train_images, train_labels), Digits(test_images, test_labels)


def mlp(seed: int) -> nn.Sequential:
    """Return a perceptron 64-300-100-10."""
    model = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    glorot(model, seed)
    return model


def cnn(seed: int) -> nn.Sequential:
    """Return a network of two convolutions and two linear layers."""
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(512, 100), nn.ReLU(), nn.Linear(100, 10)),
    )
    glorot(model, seed)
    return model


def glorot(model: nn.Module, seed: int) -> None:
    """Draw new weights in place, Glorot normal, and no biases."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_normal_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)


def adam(model: nn.Module) -> torch.optim.Adam:
    """Return what trains a network."""
    return torch.optim.Adam(model.parameters(), 1.2e-3)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, digits: Digits, steps: int) -> None:
    """Take so many steps on batches that torch's global generator draws."""
    for _ in range(steps):
        batch = torch.randperm(len(digits.labels))[:BATCH]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(digits.images[batch]), digits.labels[batch]).backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, digits: Digits) -> float:
    """Return the percentage of images that a network names rightly."""
    return 100.0 * float((model(digits.images).argmax(1) == digits.labels).double().mean())
