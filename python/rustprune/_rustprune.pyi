from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias, final

from numpy import float64, uint8, unsignedinteger
from numpy.typing import NDArray

__all__ = [
    "Checkpoint",
    "__version__",
    "activation_data",
    "adaptive_pool_norm",
    "apply",
    "average_pool_norm",
    "certify",
    "conv_norm",
    "get_num_threads",
    "joint_norm",
    "max_pool_norm",
    "norms",
    "num_pruned",
    "prune",
    "random_mask",
    "select",
    "set_num_threads",
    "simd_level",
]

__version__: str

# Norms: a value, its kind ("certified", "probabilistic", "estimate") and its probability of failure
_Promise: TypeAlias = tuple[float, str, float | None]
# name, dtype, bits, shape, mask, row_len of a packed mask, bias, activation, its parameter
_Linear: TypeAlias = tuple[
    str,
    str,
    NDArray[unsignedinteger],
    tuple[int, int],
    NDArray[uint8] | None,
    int | None,
    NDArray[float64] | None,
    str,
    float | None,
]
# Lipschitz constant, norm of the value at 0, largest norm of a value
_Map: TypeAlias = tuple[float, float, float]
# name, dtype, bits, shape, mask, row_len, (groups, stride, dilation), (domain, its size), bias, places,
# activation
_Convolution: TypeAlias = tuple[
    str,
    str,
    NDArray[unsignedinteger],
    tuple[int, int, int, int],
    NDArray[uint8] | None,
    int | None,
    tuple[int, tuple[int, int], tuple[int, int]],
    tuple[str, tuple[int, int]],
    NDArray[float64] | None,
    int | None,
    tuple[str, float | None],
]
# a list is a branch whose value is added to its input
_Layer: TypeAlias = _Linear | _Convolution | _Map | list[_Layer]
# norms of the weights, of their kept and of their removed part; norms of the states; gap; rule
_Step: TypeAlias = tuple[tuple[_Promise, _Promise, _Promise] | None, float, float, float, str]

def select(
    names: list[str],
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    shapes: list[tuple[int, ...]],
    kept: list[NDArray[uint8] | None],
    output: list[NDArray[uint8]],
    packed: bool,
    preserve: bool,
    score: str,
    scope: str,
    ratio: float | None,
    count: int | None,
    pattern: tuple[int, int, int] | None,
    nan: str,
    seed: int | None,
    named: bool,
) -> None: ...
def prune(
    names: list[str],
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    shapes: list[tuple[int, ...]],
    kept: list[NDArray[uint8] | None],
    score: str,
    scope: str,
    ratio: float | None,
    count: int | None,
    pattern: tuple[int, int, int] | None,
    nan: str,
    seed: int | None,
    named: bool,
) -> list[tuple[int, int, float | None, int]]: ...
def apply(
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    shapes: list[tuple[int, ...]],
    masks: list[NDArray[uint8]],
    packed: list[bool],
) -> None: ...
def random_mask(
    shape: tuple[int, ...],
    output: NDArray[uint8],
    packed: bool,
    ratio: float | None,
    count: int | None,
    pattern: tuple[int, int, int] | None,
    seed: int,
    bernoulli: bool,
) -> None: ...
def norms(
    name: str,
    dtype: str,
    bits: NDArray[unsignedinteger],
    shape: tuple[int, int],
    mask: NDArray[uint8] | None,
    row_len: int | None,
    part: str,
    kinds: list[str],
    delta: float,
    slack: float,
    starts: int,
    seed: int,
) -> dict[str, _Promise]: ...
def joint_norm(
    name: str,
    dtype: str,
    bits: NDArray[unsignedinteger],
    shape: tuple[int, int],
    mask: NDArray[uint8] | None,
    row_len: int | None,
    kept_radius: float,
    removed_radius: float,
    delta: float,
    slack: float,
    starts: int,
    seed: int,
) -> _Promise: ...
def conv_norm(
    name: str,
    dtype: str,
    bits: NDArray[unsignedinteger],
    shape: tuple[int, int, int, int],
    mask: NDArray[uint8] | None,
    row_len: int | None,
    part: str,
    groups: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    domain: str,
    size: tuple[int, int],
    by: str,
    delta: float,
    slack: float,
    starts: int,
    seed: int,
) -> _Promise: ...
def certify(
    layers: list[_Layer],
    radius: float,
    center: NDArray[float64] | None,
    joint: bool,
    sweeps: int,
    delta: float,
    slack: float,
    starts: int,
    seed: int,
    progress: Callable[[int], None] | None,
) -> tuple[_Promise, list[_Step]]: ...
def max_pool_norm(axes: list[tuple[int, int, int]]) -> float: ...
def average_pool_norm(axes: list[tuple[int, int, int, int, int]], count_padding: bool) -> float: ...
def adaptive_pool_norm(axes: list[tuple[int, int]]) -> float: ...
def activation_data(name: str, parameter: float | None) -> tuple[float, float]: ...
def num_pruned(n: int, ratio: float) -> int: ...
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def simd_level() -> str: ...

# Checkpoints
_Facts: TypeAlias = tuple[int, int, int, list[tuple[int, int, int, int]], list[tuple[int, float]]]

@final
class Checkpoint:
    def __new__(cls, paths: list[Path]) -> Self: ...
    def tensors(self) -> list[list[tuple[str, str, list[int], str | None]]]: ...
    def prune(
        self,
        places: list[tuple[int, int]],
        outputs: list[Path] | None,
        masks: tuple[Path, dict[str, str]] | None,
        progress: Callable[[int], None] | None,
        score: str,
        scope: str,
        ratio: float | None,
        count: int | None,
        pattern: tuple[int, int, int] | None,
        nan: str,
        seed: int | None,
        named: bool,
    ) -> list[tuple[int, int, float | None, int]]: ...
    def inspect(
        self, places: list[tuple[int, int]], progress: Callable[[int], None] | None
    ) -> tuple[list[_Facts], _Facts]: ...
    def num_passed(self, places: list[tuple[int, int]]) -> int: ...
