"""How many threads a call uses."""

from __future__ import annotations

from rustprune import _rustprune
from rustprune._request import whole


def set_num_threads(n: int) -> None:
    """Set how many threads the calls of this process use from now on.

    Parameters
    ----------
    n : int
        Number of threads; 0 goes back to the default: the environment variable ``RUSTPRUNE_NUM_THREADS``, else
        ``RAYON_NUM_THREADS``, else the number of processors this process may use.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is negative.

    Notes
    -----
    The answers do not depend on it.

    Examples
    --------
    >>> import rustprune
    >>> rustprune.set_num_threads(2)
    >>> rustprune.get_num_threads()
    2
    >>> rustprune.set_num_threads(0)
    """
    _rustprune.set_num_threads(whole("n", n, bits=16))


def get_num_threads() -> int:
    """Return how many threads a call uses.

    Returns
    -------
    int
        The number set, or the default: see `set_num_threads`.
    """
    return _rustprune.get_num_threads()
