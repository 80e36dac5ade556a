from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias, TypedDict, final

from numpy import float64, uint8, uint32, uint64, unsignedinteger
from numpy.typing import NDArray

__all__ = [
    "BoundNetwork",
    "Checkpoint",
    "__version__",
    "activation_data",
    "adaptive_pool_norm",
    "apply",
    "average_pool_norm",
    "bound_allocate",
    "bound_ball_states",
    "bound_chance",
    "bound_classical",
    "bound_closed_form",
    "bound_closed_norm",
    "bound_closed_width",
    "bound_distribution_error",
    "bound_estimate",
    "bound_given_weights_random",
    "bound_global",
    "bound_largest_use",
    "bound_law",
    "bound_max_prunable",
    "bound_mean_error",
    "bound_mean_square",
    "bound_min_width",
    "bound_quantile_rank",
    "bound_samples_for_distribution",
    "bound_samples_for_quantile",
    "bound_spectral",
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
# The same of a convolution, with its groups, stride and dilation, its domain and size, and its places
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

# Bounds
# Methods are 0 (magnitude), 1 (random, fixed numbers), 2 (random, each weight on its own). Theorems are ball
# (Theorem 1), inputs (Theorem 2), covering (Theorem 3) and best (the smaller of Theorems 1 and 3). Counts are
# of pruned weights, one for each layer; missing ones are zero. Results are infinite where there is no bound.
_Law: TypeAlias = tuple[str, float, tuple[list[float], list[float]] | None]
"""Family (uniform on +-scale, normal, laplace, table), scale, and for a table its levels and quantiles."""

class _RandomLayer(TypedDict):
    rows: int
    cols: int
    taps: tuple[int, int]
    circular: tuple[int, int] | None
    positions: int
    uses: int
    law: int
    activation: str
    parameter: float
    bias: float

@final
class BoundNetwork:
    def __new__(cls, laws: list[_Law], layers: list[_RandomLayer], dimension: int | None) -> Self: ...
    def sizes(self) -> list[int]: ...

def bound_estimate(
    nets: list[BoundNetwork],
    network: NDArray[uint32],
    counts: NDArray[uint64],
    methods: NDArray[uint8],
    delta: NDArray[float64],
    radius: NDArray[float64],
    inputs: NDArray[float64],
    theorem: str,
    progress: Callable[[int], None] | None,
) -> tuple[NDArray[float64], NDArray[uint32], NDArray[uint8]]: ...
def bound_max_prunable(
    network: BoundNetwork,
    counts: list[int],
    layer: int,
    method: int,
    epsilon: float,
    delta: float,
    radius: float,
    inputs: float,
    theorem: str,
) -> int | None: ...
def bound_allocate(
    network: BoundNetwork,
    chosen: list[bool],
    method: int,
    epsilon: float,
    delta: float,
    radius: float,
    inputs: float,
    theorem: str,
) -> list[int]: ...
def bound_min_width(
    k: float, depth: int, alpha: float, method: int, epsilon: float, delta: float, theorem: str
) -> tuple[int, float] | None: ...
def bound_global(
    network: BoundNetwork,
    chosen: list[bool],
    count: int,
    radius: float,
    inputs: float | None,
    delta: float,
) -> tuple[float, int, int, list[tuple[float, float] | None]]: ...
def bound_classical(
    network: BoundNetwork, counts: list[int], method: int, radius: float, delta: float
) -> float: ...
def bound_mean_square(
    network: BoundNetwork, counts: list[int], method: int, radius: float
) -> tuple[float, float]: ...
def bound_closed_form(
    k: float, depth: int, width: float, ratio: float, method: int, delta: float
) -> float: ...
def bound_closed_width(
    k: float, depth: int, alpha: float, method: int, epsilon: float, delta: float
) -> float | None: ...
def bound_closed_norm(rows: int, cols: int, deviation: float, delta: float) -> float: ...
def bound_spectral(
    network: BoundNetwork, counts: list[int], method: int, part: str, delta: float
) -> list[tuple[float, int]]: ...
def bound_ball_states(
    network: BoundNetwork, counts: list[int], method: int, radius: float, p: int
) -> list[tuple[float, float, float]]: ...
def bound_given_weights_random(
    rows: int,
    cols: int,
    row2: float,
    col2: float,
    largest: float,
    ratio: float,
    count: int | None,
    delta: float,
) -> tuple[float, int]: ...
def bound_chance(count: int, samples: int, beta: float) -> tuple[float, float]: ...
def bound_quantile_rank(samples: int, level: float, beta: float) -> int | None: ...
def bound_samples_for_quantile(level: float, beta: float) -> float: ...
def bound_distribution_error(samples: float, beta: float, two_sided: bool) -> float | None: ...
def bound_samples_for_distribution(error: float, beta: float, two_sided: bool) -> float | None: ...
def bound_mean_error(samples: float, variance: float, largest: float, beta: float) -> float: ...
def bound_law(facts: _Law, k: int, level: float) -> tuple[float, float, float]: ...
def bound_largest_use(taps: int, stride: int, dilation: int) -> int: ...
