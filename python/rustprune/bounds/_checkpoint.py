"""Certificates of checkpoints: a pruned one against its original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rustprune import _rustprune
from rustprune._arrays import flat
from rustprune.bounds._certify import Certificate, certified, plain
from rustprune.bounds._files import Stored, bias_of, chain_of, natural, read
from rustprune.bounds._norms import Norm, matrix_shape, norm_of
from rustprune.bounds._steps import Affine, chain

if TYPE_CHECKING:
    from numpy.typing import NDArray


KINDS = ("frobenius", "spectral")


class TensorNorms(NamedTuple):
    """How large a tensor of a checkpoint is, and what of it was removed.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int
        Its shape.
    num_removed : int
        How many of its entries are zero in the pruned checkpoint and are not in the original.
    weights, removed : dict of str to Norm
        Frobenius norm and a bound of the spectral norm, of the matrix ``(shape[0], -1)``.
    """

    name: str
    shape: tuple[int, ...]
    num_removed: int
    weights: dict[str, Norm]
    removed: dict[str, Norm]


@dataclass(frozen=True, slots=True)
class CheckpointCertificate:
    """How far a pruned checkpoint is from the original.

    Parameters
    ----------
    tensors : tuple of TensorNorms
        Those that differ.
    certificate : Certificate or None
        Of the whole network (Theorem 5), where its tensors are a chain of linear layers.
    reason : str
        Why there is none.
    """

    tensors: tuple[TensorNorms, ...]
    certificate: Certificate | None
    reason: str

    def as_dict(self) -> dict[str, object]:
        """Return the certificate as what JSON can hold; infinity is the string "inf"."""
        tensors = [
            it._asdict()
            | {
                part: {kind: plain(norm) for kind, norm in getattr(it, part).items()}
                for part in ("weights", "removed")
            }
            for it in self.tensors
        ]
        whole = None if self.certificate is None else self.certificate.as_dict()
        return {"tensors": tensors, "certificate": whole, "reason": self.reason}


def certify_checkpoint(
    src: str | Path,
    pruned: str | Path,
    *,
    activation: str = "relu",
    output_activation: str = "identity",
    radius: float = 1.0,
    delta: float = 1e-9,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CheckpointCertificate:
    """Measure what a pruned checkpoint lacks of its original, and bound how far their outputs can be apart.

    Parameters
    ----------
    src, pruned : path
        Safetensors files or Hugging Face directories of the same tensors. Those of the second are those of
        the first, with zeros.
    activation, output_activation : str
        Of hidden layers, and of the last, for the bound of the whole network.
    radius : float
        Of the ball of inputs, around the origin.
    delta : float
        With what probability bounds that are not certified may be too low: of each tensor, of the network.
    seed : int
        Of their random starts, in [0, 2**64).
    progress : callable, optional
        Called with the number of tensors done and to do, the network one more.

    Returns
    -------
    CheckpointCertificate
        Norms of the tensors that differ; and a certificate of the network, if all its tensors are matrices
        named ``*.weight`` that follow each other in the order of their names, digits as numbers, and their
        biases: other networks have layers and connections that a checkpoint does not tell.

    Raises
    ------
    FileNotFoundError, OSError
        If a file is missing or cannot be read.
    ValueError
        If a file is malformed, the tensors of both differ in names, shapes or dtypes, or one of the second
        has other values than those of the first and zeros.

    Examples
    --------
    >>> import pathlib, rustprune, tempfile
    >>> from rustprune import bounds
    >>> digits = pathlib.Path(rustprune.__file__).parent / "data" / "digits.safetensors"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = pathlib.Path(folder) / "out.safetensors"
    ...     report = rustprune.prune_checkpoint(digits, out, 0.5)
    ...     found = bounds.certify_checkpoint(digits, out)
    >>> [tensor.num_removed for tensor in found.tensors]
    [9600, 15000, 500]
    >>> found.certificate.epsilon.kind
    'certified'
    """
    originals, others = read(Path(src)), read(Path(pruned))
    for name in {*originals} ^ {*others}:
        raise ValueError(f"{pruned if name in originals else src}: tensor {name!r} is missing")
    pairs = [(originals[name], others[name]) for name in sorted(originals, key=natural)]
    masks: dict[str, NDArray[np.uint8] | None] = {}
    tensors: list[TensorNorms] = []
    for done, (original, other) in enumerate(pairs):
        if original.words.dtype != other.words.dtype or original.words.shape != other.words.shape:
            raise ValueError(f"{pruned}: tensor {original.name!r} is not like that of {src}")
        mask = kept_mask(original, other, Path(pruned))
        if original.words.ndim >= 2 and mask is not None:
            tensors.append(measured(original, mask, delta, seed))
        masks[original.name] = mask
        if progress is not None:
            progress(done + 1, len(pairs) + 1)
    chained, reason = chain_of(originals)
    if reason:
        return CheckpointCertificate(tuple(tensors), None, reason)
    acts = [activation] * (len(chained) - 1) + [output_activation]
    layers = [
        Affine(it.name, it.dtype, it.words, masks[it.name], None, bias_of(originals, it), act)
        for it, act in zip(chained, acts, strict=True)
    ]
    certificate = certified(chain(layers), radius, None, delta=delta, seed=seed)
    if progress is not None:
        progress(len(pairs) + 1, len(pairs) + 1)
    return CheckpointCertificate(tuple(tensors), certificate, "")


def kept_mask(original: Stored, other: Stored, pruned: Path) -> NDArray[np.uint8] | None:
    """Return which entries were kept; None if all were."""
    kept = np.equal(original.words, other.words)
    if kept.all():
        return None
    # Zero but for the sign.
    zero = other.words << 1 == 0 if original.words.dtype.itemsize > 1 else other.words & 0x7F == 0
    if not (kept | zero).all():
        raise ValueError(f"{pruned}: tensor {original.name!r} has other values than the original's and zeros")
    return kept.view(np.uint8).reshape(-1)


def measured(original: Stored, mask: NDArray[np.uint8], delta: float, seed: int) -> TensorNorms:
    """Return the norms of a tensor and of what was removed of it."""
    shape = matrix_shape(original.words.shape)
    words = flat(original.words).reshape(-1)
    found = [
        _rustprune.norms(
            (original.name, original.dtype, words, bits, None, part),
            shape,
            list(KINDS),
            (delta, 0.01, 2, seed),
        )
        for bits, part in ((None, "all"), (mask, "removed"))
    ]
    norms = [{name: norm_of(promise) for name, promise in it.items()} for it in found]
    return TensorNorms(original.name, original.words.shape, int(mask.size - mask.sum()), *norms)
