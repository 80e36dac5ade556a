"""How often each weight multiplies something in a run of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.rnn import RNNCellBase
from torch.nn.utils.rnn import PackedSequence

Inputs: TypeAlias = Tensor | PackedSequence | tuple[object, ...] | list[object] | Mapping[str, object]
# Parameters of two or more dimensions that multiply nothing, or whose products are left out by definition.
_FREE = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)


class Use(NamedTuple):
    """Rows ``start:stop`` of a weight whose every entry multiplies something so many times."""

    weight: Tensor
    start: int
    stop: int
    times: int

    @property
    def macs(self) -> int:
        """How many multiply-adds these are when all entries count."""
        return (self.stop - self.start) * (self.weight.numel() // max(len(self.weight), 1)) * self.times


def uses(model: nn.Module, inputs: Inputs) -> list[Use]:
    """Return what each layer that is known multiplied in a run; the model is as before.

    The run is in evaluation mode and without gradients, and draws from a copy of the random state.
    """
    found: list[Use] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ANN401
        found.extend(_used_by(module)(module, args, kwargs, output))

    with _undisturbed(model):
        known = [module for module in model.modules() if _is_known(module)]
        handles = [module.register_forward_hook(note, with_kwargs=True) for module in known]
        # Code that was compiled before the hooks were there would pass them by.
        run = getattr(model, "_orig_mod", model)
        try:
            if isinstance(inputs, Tensor | PackedSequence):
                run(inputs)
            elif isinstance(inputs, Mapping):
                run(**inputs)
            else:
                run(*inputs)
        finally:
            for handle in handles:
                handle.remove()
    return found


def uncounted(model: nn.Module, found: list[Use]) -> tuple[str, ...]:
    """Return the parameters that may multiply something and were not seen to."""
    seen = {id(use.weight) for use in found}
    for module in model.modules():
        if isinstance(module, _FREE):
            seen |= {id(parameter) for parameter in module.parameters(recurse=False)}
    return tuple(name for name, one in model.named_parameters() if one.ndim > 1 and id(one) not in seen)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    devices = {one.device for one in model.parameters() if one.is_cuda}
    # The fused path of transformers calls no layer by itself.
    fused = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(sorted(device.index for device in devices)), torch.no_grad():
        try:
            model.eval()
            torch.backends.mha.set_fastpath_enabled(False)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            for module, training in modes:
                module.training = training


_Used: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], Iterator[Use]]


def _of_input(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:  # noqa: ANN401
    return args[place] if place < len(args) else kwargs[name]


def _all(weight: Tensor, times: int) -> Use:
    return Use(weight, 0, len(weight), times)


def _linear(module: nn.Linear, _: object, __: object, output: Tensor) -> Iterator[Use]:
    yield _all(module.weight, output.numel() // max(module.out_features, 1))


def _conv(module: _ConvNd, _: object, __: object, output: Tensor) -> Iterator[Use]:
    yield _all(module.weight, output.numel() // module.out_channels)


def _transposed(module: _ConvNd, args: tuple[Any, ...], kwargs: dict[str, Any], _: object) -> Iterator[Use]:
    # Each entry meets each position of the input, and what it adds outside the output is cut away.
    yield _all(module.weight, _of_input(args, kwargs, 0, "input").numel() // module.in_channels)


def _conv1d_of_gpt2(module: Any, _: object, __: object, output: Tensor) -> Iterator[Use]:  # noqa: ANN401
    yield _all(module.weight, output.numel() // module.weight.shape[1])


def _recurrent(module: nn.RNNBase, args: tuple[Any, ...], kwargs: dict[str, Any], _: object) -> Iterator[Use]:
    sequence = _of_input(args, kwargs, 0, "input")
    values = sequence.data if isinstance(sequence, PackedSequence) else sequence
    steps = values.numel() // module.input_size
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("weight"):
            yield _all(parameter, steps)


def _attention(
    module: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: dict[str, Any], _: object
) -> Iterator[Use]:
    widths = {"query": module.embed_dim, "key": module.kdim, "value": module.vdim}
    positions = [
        _of_input(args, kwargs, place, name).numel() // width
        for place, (name, width) in enumerate(widths.items())
    ]
    rows = module.embed_dim
    for place, times in enumerate(positions):
        if module.in_proj_weight is not None:
            yield Use(module.in_proj_weight, place * rows, (place + 1) * rows, times)
        else:
            parts = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
            yield _all(parts[place], times)
    yield _all(module.out_proj.weight, positions[0])


# The first that fits counts.
_KNOWN: tuple[tuple[type[nn.Module], _Used], ...] = (
    (nn.Linear, _linear),
    (_ConvTransposeNd, _transposed),
    (_ConvNd, _conv),
    (nn.MultiheadAttention, _attention),
    (nn.RNNBase, _recurrent),
    (RNNCellBase, _recurrent),
)


def _is_known(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D" or isinstance(module, tuple(kind for kind, _ in _KNOWN))


def _used_by(module: nn.Module) -> _Used:
    return next((used for kind, used in _KNOWN if isinstance(module, kind)), _conv1d_of_gpt2)
