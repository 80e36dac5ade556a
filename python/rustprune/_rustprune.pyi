from numpy import bool_, uint8, unsignedinteger
from numpy.typing import NDArray

__version__: str

def select(
    names: list[str],
    dtypes: list[str],
    bits: list[NDArray[unsignedinteger]],
    shapes: list[tuple[int, ...]],
    kept: list[NDArray[uint8] | None],
    outputs: list[NDArray[uint8]],
    packed: bool,
    score: str,
    scope: str,
    ratio: float | None,
    count: int | None,
    pattern: tuple[int, int, int] | None,
    nan: str,
    seed: int | None,
    named: bool,
) -> list[tuple[int, int, float | None, int]]: ...
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
) -> int: ...
def num_pruned(n: int, ratio: float) -> int: ...
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def simd_level() -> str: ...

# Checkpoints
