"""The names of ``torch.nn.utils.prune``, on modules whose parameters stay what they are.

    from rustprune.torch import compat as prune  # instead of: from torch.nn.utils import prune
    prune.l1_unstructured(model.fc, "weight", amount=0.5)

Functions
    `l1_unstructured`, `random_unstructured`, `ln_structured`, `random_structured`, `global_unstructured`,
    `custom_from_mask`, `identity`, `remove`, `is_pruned`.
Classes
    `BasePruningMethod`, to write your own; `PruningContainer`; `L1Unstructured`, `RandomUnstructured`,
    `LnStructured`, `RandomStructured`, `CustomFromMask`, `Identity`.

An amount is what torch takes it for: a fraction, rounded halves to even, or a number, of what is still kept.
What differs:

============================  ==================================  ========================================
of                            ``torch.nn.utils.prune``            here
============================  ==================================  ========================================
``module.weight``             a tensor that each forward pass     the parameter itself, a leaf, with zeros;
                              makes, stale after a step           never stale
``weight_orig``,              a parameter and a buffer, 4 bytes   neither; the values of pruned entries are
``weight_mask``               per entry each                      gone, and masks are bits beside the model:
                                                                  ``rustprune.torch.held_masks``
``state_dict``, optimizers    other keys, another parameter       the same keys and parameters
``copy.deepcopy``             an error, until it is removed       an ordinary module with zeros and no masks
masks are held                by each forward pass                by each step of any
                                                                  ``torch.optim.Optimizer``, its state and
                                                                  gradients included
equal scores                  any                                 the first are kept
random methods                torch's generator                   a seed drawn from torch's generator
norms of ``ln_structured``    in the dtype of the weights         in double precision
masks of other values         multiply                            ValueError; only 0 and 1
``importance_scores`` of      AssertionError                      ValueError
another shape
``global_unstructured``       counts shared parameters twice,     counts them once, takes any iterable,
                              concatenates all scores             concatenates none for the methods here
``is_pruned``                 looks for hooks                     also true of what `rustprune.torch` prunes
============================  ==================================  ========================================

After weights were changed by other means than an optimizer's step, ``rustprune.torch.apply_(module,
rustprune.torch.held_masks(module))`` writes the zeros again.
"""

from rustprune.torch._prune import is_pruned as is_pruned
from rustprune.torch.compat._functions import custom_from_mask as custom_from_mask
from rustprune.torch.compat._functions import global_unstructured as global_unstructured
from rustprune.torch.compat._functions import identity as identity
from rustprune.torch.compat._functions import l1_unstructured as l1_unstructured
from rustprune.torch.compat._functions import ln_structured as ln_structured
from rustprune.torch.compat._functions import random_structured as random_structured
from rustprune.torch.compat._functions import random_unstructured as random_unstructured
from rustprune.torch.compat._functions import remove as remove
from rustprune.torch.compat._methods import BasePruningMethod as BasePruningMethod
from rustprune.torch.compat._methods import CustomFromMask as CustomFromMask
from rustprune.torch.compat._methods import Identity as Identity
from rustprune.torch.compat._methods import L1Unstructured as L1Unstructured
from rustprune.torch.compat._methods import LnStructured as LnStructured
from rustprune.torch.compat._methods import PruningContainer as PruningContainer
from rustprune.torch.compat._methods import RandomStructured as RandomStructured
from rustprune.torch.compat._methods import RandomUnstructured as RandomUnstructured
