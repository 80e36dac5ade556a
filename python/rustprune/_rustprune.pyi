from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias, TypedDict, final

from numpy import float64, int64, uint8, uint32, uint64, unsignedinteger
from numpy.typing import NDArray

__all__ = [
    "BoundNetwork",
    "Checkpoint",
    "__version__",
    "apply",
    "bound_allocate",
    "bound_chance",
    "bound_classical",
    "bound_closed_form",
    "bound_closed_width",
    "bound_distribution_error",
    "bound_estimate",
    "bound_given_weights_random",
    "bound_global",
    "bound_largest_use",
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
    "lamp_counts",
    "lamp_scores",
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
# name, dtype, bits, mask, row_len of a packed mask, part
_PartOf: TypeAlias = tuple[str, str, NDArray[unsignedinteger], NDArray[uint8] | None, int | None, str]
# delta, slack, number and seed of random starts
_Starts: TypeAlias = tuple[float, float, int, int]

# A convolution in images of one size
class _Geometry(TypedDict):
    kernel: tuple[int, int]
    groups: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    image: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    circular: bool

class _Affine(TypedDict):
    name: str
    dtype: str
    weights: NDArray[unsignedinteger]
    shape: tuple[int, int]
    mask: NDArray[uint8] | None
    row_len: int | None
    bias: NDArray[float64] | None
    roundings: int
    bias_error: float
    geometry: _Geometry | None
    activation: tuple[str, float | None]

class _Activation(TypedDict):
    activation: tuple[str, float | None]

class _Copies(TypedDict):
    copies: NDArray[int64]

# of each axis length, size, stride, dilation, padding and number of windows
class _Maxima(TypedDict):
    maxima: list[tuple[int, ...]]

# of each axis length, size, stride and padding; whether padding counts
class _Means(TypedDict):
    means: tuple[list[tuple[int, ...]], bool]

# of each axis length and number of means
class _AdaptiveMeans(TypedDict):
    adaptive_means: list[tuple[int, int]]

class _Scale(TypedDict):
    factors: NDArray[float64]
    shifts: NDArray[float64]
    roundings: int
    shift_error: float

class _Normalization(TypedDict):
    len: int
    centered: bool
    epsilon: float
    gain: NDArray[float64] | None
    shift: NDArray[float64] | None

# entries of a group, whether the logarithm is taken
class _Softmax(TypedDict):
    softmax: tuple[int, bool]

class _Join(TypedDict):
    join: str

_Map: TypeAlias = (
    _Activation | _Copies | _Maxima | _Means | _AdaptiveMeans | _Scale | _Normalization | _Softmax | _Join
)
_Layer: TypeAlias = _Affine | _Map
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
    counts: list[int] | None,
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
    counts: list[int] | None,
) -> list[tuple[int, int, float | None, int]]: ...
def apply(
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    shapes: list[tuple[int, ...]],
    masks: list[NDArray[uint8]],
    packed: list[bool],
) -> None: ...
def lamp_counts(
    names: list[str], dtypes: list[str], bits: list[NDArray[unsignedinteger]], count: int
) -> list[int]: ...
def lamp_scores(
    names: list[str],
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    scores: list[NDArray[float64]],
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
    weights: _PartOf, shape: tuple[int, int], kinds: list[str], starts: _Starts
) -> dict[str, _Promise]: ...
def conv_norm(
    kernel: _PartOf,
    shape: tuple[int, int, int, int],
    steps: tuple[int, tuple[int, int], tuple[int, int]],
    domain: tuple[str, tuple[int, int]],
    by: str,
    starts: _Starts,
) -> _Promise: ...
def certify(
    inputs: int,
    layers: list[tuple[_Layer, list[int]]],
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

# epsilon, delta, radius, inputs, theorem
_Target: TypeAlias = tuple[float, float, float, float, str]

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
    network: BoundNetwork, counts: list[int], layer: int, method: int, target: _Target
) -> int | None: ...
def bound_allocate(network: BoundNetwork, chosen: list[bool], method: int, target: _Target) -> list[int]: ...
def bound_min_width(
    k: float, depth: int, alpha: float, method: int, target: _Target
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
def bound_spectral(
    network: BoundNetwork, counts: list[int], method: int, part: str, delta: float
) -> list[tuple[float, int]]: ...
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
def bound_distribution_error(samples: float, beta: float) -> float: ...
def bound_samples_for_distribution(error: float, beta: float) -> float: ...
def bound_mean_error(samples: float, variance: float, largest: float, beta: float) -> float: ...
def bound_largest_use(taps: int, stride: int, dilation: int) -> int: ...
