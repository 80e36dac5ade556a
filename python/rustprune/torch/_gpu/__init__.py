"""Masks of tensors where the tensors lie, on one GPU: the bits that the core gives, made there.

Everything is asked for with sequences of tensors; names, ratios and shapes are the business of the callers.

- `select_`, `Selection`: the entries of highest score, of each tensor, of each row, of each group, or of all;
- `random_`, `Drawing`: the random masks of a seed;
- `apply_`: zeros where a mask prunes;
- `backend_of`: Triton kernels, or tensor operations where there is no Triton.

A `Selection` and a `Drawing` are prepared once and run any number of times: a run launches kernels and no
more, so that a CUDA graph can hold it. Weights are read where they are; they must be contiguous.
"""

from rustprune.torch._gpu._apply import apply_ as apply_
from rustprune.torch._gpu._backend import backend_of as backend_of
from rustprune.torch._gpu._formats import FORMATS as FORMATS
from rustprune.torch._gpu._random import Drawing as Drawing
from rustprune.torch._gpu._random import random_ as random_
from rustprune.torch._gpu._select import Selection as Selection
from rustprune.torch._gpu._select import select_ as select_
