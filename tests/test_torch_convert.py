"""Masks out of state dicts of other tools, and models as torch's sparse kernels take them."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import rustprune.torch as rpt


def pair() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 9))


def test_a_pruned_model_of_torch_goes_on_here_with_the_same_function_and_masks() -> None:
    old = pair()
    prune.global_unstructured([(old[0], "weight"), (old[2], "weight")], prune.L1Unstructured, amount=0.5)
    prune.random_unstructured(old[0], "bias", 0.5)
    with torch.no_grad():
        old.get_parameter("0.weight_orig").add_(1.0)  # as training leaves it: not zero where pruned
    weights, masks = rpt.import_torch_pruned(old.state_dict())
    model = pair()
    model.load_state_dict(weights)
    inputs = torch.randn(4, 20)
    assert torch.equal(model(inputs), old(inputs))
    assert sorted(masks) == ["0.bias", "0.weight", "2.weight"]
    for name, mask in masks.items():
        assert torch.equal(mask, old.get_buffer(f"{name}_mask").bool())
    rpt.hold(model, masks)
    assert rpt.report(model).leaks == {}


class Masked(nn.Module):
    """A parametrization by a mask."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Multiply."""
        return weight * cast("Tensor", self.mask)


def test_a_model_parametrized_by_masks_goes_on_here() -> None:
    old = pair()
    mask = torch.rand(12, 20) < 0.5
    parametrize.register_parametrization(old[0], "weight", Masked(mask))
    weights, masks = rpt.import_torch_pruned(old.state_dict())
    model = pair()
    model.load_state_dict(weights)
    assert torch.equal(model(torch.ones(20)), old(torch.ones(20)))
    assert torch.equal(masks["0.weight"], mask)
    parametrize.register_parametrization(old[0], "weight", Masked(mask))
    with pytest.raises(ValueError, match="expected one parametrization by a mask, got"):
        rpt.import_torch_pruned(old.state_dict())
    parametrize.remove_parametrizations(old[0], "weight")
    nn.utils.parametrizations.weight_norm(old[0])
    with pytest.raises(ValueError, match="expected one parametrization by a mask, got"):
        rpt.import_torch_pruned(old.state_dict())


def test_zeros_are_written_and_infinities_go() -> None:
    pruned = {"w_orig": torch.tensor([torch.inf, 1.0]), "w_mask": torch.tensor([0.0, 1.0])}
    weights, _ = rpt.import_torch_pruned(pruned)
    assert weights["w"].tolist() == [0.0, 1.0]


def test_what_is_no_pair_is_taken_as_it_is() -> None:
    given = {"a_mask": torch.ones(2), "b_orig": torch.ones(3), "c": torch.ones(1)}
    weights, masks = rpt.import_torch_pruned(given)
    assert list(weights) == list(given)
    assert all(weights[name] is tensor for name, tensor in given.items())
    assert len(masks) == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"w_orig": torch.ones(2), "w_mask": torch.ones(3)},
            r"w: expected a mask of shape \(2,\), got \(3,\)",
        ),
        ({"w_orig": torch.ones(2), "w_mask": torch.full((2,), 0.5)}, "w: expected a mask of 0 and 1"),
        (
            {"w_orig": torch.ones(2), "w_mask": torch.ones(2), "w": torch.ones(2)},
            "w: expected w_orig instead of it",
        ),
    ],
)
def test_what_is_no_mask_is_refused(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rpt.import_torch_pruned(state)


def test_a_2_of_4_model_has_two_zeros_in_each_group() -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64))
    assert rpt.prune(model, pattern="2:4").sparsity == 0.5
    for place in (0, 2):
        groups = model.get_parameter(f"{place}.weight").view(-1, 4)
        assert ((groups != 0).sum(1) == 2).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="sparse kernels run on a GPU")
def test_a_2_of_4_model_converts_to_the_sparse_kernels_of_torch() -> None:
    model = nn.Linear(256, 128, bias=False).half().eval()
    rpt.prune(model, pattern="2:4")
    model.cuda()
    inputs = torch.randn(64, 256, device="cuda", dtype=torch.float16)
    with torch.inference_mode():
        dense = model(inputs)
        model.weight = nn.Parameter(torch.sparse.to_sparse_semi_structured(model.weight))
        assert torch.allclose(model(inputs), dense, rtol=1e-2, atol=1e-2)
