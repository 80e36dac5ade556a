"""Which tensors of a checkpoint are pruned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rustprune._names import OUTPUT_LAYERS, matched, matches_any

if TYPE_CHECKING:
    from rustprune._checkpoint.files import Files, Tensor

# The weights of linear layers and convolutions, as every framework calls them.
DEFAULT_TARGETS = ("weight", "*.weight")

# Lookup tables, norms and the output layer of language models: a zero there costs more than a zero in a
# matrix that is multiplied, and no published comparison prunes them (Wanda, SparseGPT, llm-compressor).
DEFAULT_IGNORE = (
    "re:(?i).*embed",  # BERT word_embeddings, Llama embed_tokens, ViT patch_embed, GPT-NeoX embed_out
    r"re:(.*\.)?(wte|wpe|shared|emb|relative_attention_bias)\.weight",  # GPT-2, T5, RWKV
    "re:(?i).*norm",  # LayerNorm, input_layernorm, batch_norm
    r"re:(.*\.)?(ln|bn)_?[0-9a-z]*\.weight",  # GPT-2 ln_1 and ln_f, ResNet bn1
    *OUTPUT_LAYERS,
)

# Endings of what holds quantised weights and their scales.
_QUANTISED = (".weight_packed", ".qweight", ".weight_scale", ".weight_scale_inv", ".scale_weight")
_SCALES = ("weight_scale", "weight_scale_inv", "scale_weight")


class Place(NamedTuple):
    """A tensor, and where it is: shard and tensor by number."""

    shard: int
    number: int
    tensor: Tensor


class Skipped(NamedTuple):
    """A tensor that is left as it is although it looks like a target.

    Parameters
    ----------
    name : str
        Its name.
    reason : str
        Why it is not pruned.
    """

    name: str
    reason: str


def by_name(tensors: Sequence[Sequence[Tensor]]) -> list[Place]:
    """Return all tensors in the order of their names."""
    places = (Place(shard, at, tensor) for shard, row in enumerate(tensors) for at, tensor in enumerate(row))
    return sorted(places, key=lambda place: place.tensor.name)


def choose(
    tensors: Sequence[Sequence[Tensor]], targets: Sequence[str], ignore: Sequence[str]
) -> tuple[list[Place], list[Skipped]]:
    """Return the targets in the order of their names, which is the order of ties, and what is skipped.

    Given ``targets`` replace the default ones and what is ignored by default; given ``ignore`` adds to it.
    """
    places = by_name(tensors)
    names = [place.tensor.name for place in places]
    wanted = matched("targets", targets, names) if targets else _default(places)
    wanted -= matched("ignore", ignore, names)
    scaled = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] in _SCALES}
    chosen, skipped = [], []
    for place in places:
        name = place.tensor.name
        if reason := _quantised(place.tensor, scaled):
            if name in wanted or name.endswith(_QUANTISED):
                skipped.append(Skipped(name, reason))
        elif name in wanted:
            chosen.append(place)
    return chosen, skipped


def quantisation(files: Files) -> list[str]:
    """Return a warning if the configuration says that the model is quantised."""
    try:
        config = json.loads((files.root / "config.json").read_bytes())
    except (OSError, ValueError):
        return []
    if "config.json" in files.others and isinstance(config, dict) and config.get("quantization_config"):
        return ["config.json: the model is quantised; only its floating-point tensors can be pruned"]
    return []


def _default(places: Iterable[Place]) -> set[str]:
    names = [place.tensor.name for place in places if len(place.tensor.shape) >= 2]
    found = {name for name in names if matches_any(DEFAULT_TARGETS, name)}
    return {name for name in found if not matches_any(DEFAULT_IGNORE, name)}


def _quantised(tensor: Tensor, scaled: set[str]) -> str | None:
    if tensor.name.endswith(_QUANTISED):
        return "quantised weights or their scale"
    if tensor.format is None:
        return f"dtype {tensor.dtype} is no floating-point format that can be pruned"
    if tensor.name.rpartition(".")[0] in scaled and tensor.name.endswith(".weight"):
        return "quantised: it has a scale"
    return None
