"""How many threads a call uses."""

from __future__ import annotations

from rustprune import _rustprune
from rustprune._request import whole


def set_num_threads(n: int) -> None:
    """Set how many threads the calls of this process use from now on.

    Parameters
    ----------
    n : int
        Number of threads, at least 1. The default is the environment variable ``RUSTPRUNE_NUM_THREADS``, else
        ``RAYON_NUM_THREADS``, else the number of processors this process may use.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is less than 1.

    Notes
    -----
    The answer of no function depends on it.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.set_num_threads(2)
    >>> rustprune.get_num_threads()
    2
    """
    _rustprune.set_num_threads(whole("n", n))


def get_num_threads() -> int:
    """Return how many threads a call uses.

    Returns
    -------
    int
        The number set, or the default: see `set_num_threads`.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.set_num_threads(3)
    >>> rustprune.get_num_threads()
    3
    """
    return _rustprune.get_num_threads()
