"""Several Python threads, processes made by `fork`, the number of threads, and Ctrl-C."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import rustprune
from inputs import make

if TYPE_CHECKING:
    from numpy.typing import NDArray


def run(code: str, **variables: str) -> str:
    """Return what a new interpreter prints."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return found.stdout.strip()


def test_eight_threads_at_once_get_what_each_gets_alone() -> None:
    arrays = [
        make(kind, 200_003, np.dtype(np.float32)) for kind in ("normal", "60 % zeros", "sorted", "constant")
    ]

    def work(array: NDArray[np.float32]) -> list[bytes]:
        pruned = array.copy()
        return [
            rustprune.mask(array, 0.5).tobytes(),
            rustprune.mask(array, 0.5, method="random", seed=1, packed=True).tobytes(),
            repr(rustprune.prune_(pruned, 0.7)).encode(),
            pruned.tobytes(),
        ]

    expected = [work(array) for array in arrays]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, arrays * 8)) == expected * 8


def test_threads_may_change_the_number_of_threads_meanwhile() -> None:
    array = make("normal", 200_003, np.dtype(np.float32))
    expected = rustprune.mask(array, 0.5)

    def work(threads: int) -> bool:
        rustprune.set_num_threads(threads)
        return bool((rustprune.mask(array, 0.5) == expected).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [1, 2, 3, 4] * 25))


def test_small_calls_on_more_threads_than_processors_never_wait_for_each_other() -> None:
    code = """
import numpy as np, rustprune
rustprune.set_num_threads(7)
arrays = [np.arange(length, dtype=np.float32) for length in (0, 3, 40, 20, 90_000)]
for _ in range(2000):
    for scope in ("row", "tensor", "global"):
        rustprune.mask(arrays[:4], 0.5, scope=scope)
for _ in range(200):
    rustprune.mask(arrays, 0.5)
print("done")
"""
    assert run(code) == "done"


FORK = """
import os, signal, sys, threading, numpy as np, rustprune
array = np.random.default_rng(0).standard_normal(300_000)
expected = rustprune.mask(array, 0.5)
busy = threading.Thread(target=lambda: [rustprune.mask(array, 0.5) for _ in range(50)])
busy.start()
def check(depth):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for a thread it does not have ends here
        same = (rustprune.mask(array, 0.5) == expected).all()
        os._exit(0 if same and (depth == 0 or check(depth - 1)) else 1)
    return os.waitpid(child, 0)[1] == 0
print([check(1) for _ in range(5)])
busy.join()
print((rustprune.mask(array, 0.5) == expected).all())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_children_made_by_fork_and_theirs_get_the_same_mask() -> None:
    assert run(FORK).splitlines() == [str([True] * 5), "True"]


THREADS = """
import rustprune
print(rustprune.get_num_threads())
rustprune.set_num_threads(2)
print(rustprune.get_num_threads())
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RUSTPRUNE_NUM_THREADS": "3"}, 3),
        ({"RAYON_NUM_THREADS": "5"}, 5),
        ({"RUSTPRUNE_NUM_THREADS": "3", "RAYON_NUM_THREADS": "5"}, 3),
        ({"RUSTPRUNE_NUM_THREADS": "many", "RAYON_NUM_THREADS": "5"}, 5),
    ],
    ids=repr,
)
def test_the_environment_sets_the_number_of_threads_until_it_is_set(
    variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RUSTPRUNE_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert run(THREADS, **variables).split() == [str(expected), "2"]


def test_the_default_number_of_threads_is_that_of_the_processors() -> None:
    threads, _ = run(THREADS, RUSTPRUNE_NUM_THREADS="0", RAYON_NUM_THREADS="").split()
    assert 1 <= int(threads) <= (os.cpu_count() or 1)


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_a_call_works_on_as_many_threads() -> None:
    code = """
import os, numpy as np, rustprune
before = len(os.listdir("/proc/self/task"))
rustprune.set_num_threads(5)
rustprune.mask(np.ones(1_000_000), 0.5)
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert run(code) == "5"


# Each would take many seconds: few instructions, one thread. Untouched zero pages take no memory.
LONG = {
    "random_mask": "rustprune.random_mask(2**33, 1 / 3, seed=0, packed=True)",
    "mask": "rustprune.mask([zeros] * 400, 0.5, packed=True)",
    "mask of rows": "rustprune.mask([zeros] * 400, 0.5, packed=True, scope='row')",
    "mask of all": "rustprune.mask([zeros] * 400, 0.5, packed=True, scope='global')",
    "prune_": "rustprune.prune_(np.zeros(2**31, float8_e5m2), pattern='16:32')",
    "apply_": "rustprune.apply_(np.zeros(2**33, float8_e5m2), np.zeros(2**30, np.uint8))",
}
INTERRUPTED = """
import numpy as np, rustprune
from ml_dtypes import float8_e5m2
zeros = np.zeros((2**9, 2**16), np.float32)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted, then", rustprune.mask(np.array([1.0, 2.0]), 0.5).tolist())
else:
    print("finished")
"""


@pytest.mark.parametrize("call", LONG)
def test_ctrl_c_ends_a_long_call_within_a_second(call: str) -> None:
    code = INTERRUPTED.format(call=LONG[call])
    variables = {**os.environ, "RUSTPRUNE_SIMD": "portable", "RUSTPRUNE_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.stdout.readline() == "interrupted, then [False, True]\n"
        assert time.monotonic() - start < 1.0
