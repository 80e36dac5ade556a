"""How far a pruned network can be from the original: bounds with proofs, and norms they are made of.

The theorems, with their assumptions and proofs, are in the theory page of the documentation.

Bounds
    `estimate`, of the gap of pruned random networks; `BoundEstimate`, what it says and what it assumes.
    `max_prunable`, of one layer within a margin; `allocate`, over all layers, and `Allocation`;
    `min_width`, of networks pruned by the rule of the paper, and `Width`; `estimate_global`, one budget over
    all layers, and `GlobalBound`; `norm_bound`, of one random matrix; `mean_square`, and `MeanSquare`;
    `closed_form`, `closed_width` and `classical`, for comparison; `random_mask_bound`, of given weights.
Norms
    `norms`, of a matrix or of the part that a mask keeps or prunes; `conv_norm`, of a convolution; `Norm`, a
    number and what it promises.
Networks
    `Network` and `Layer`, shapes and laws; `Uniform`, `Normal`, `Laplace`, `Tabulated`, laws of weights.
Simulation
    `simulate`, gaps of drawn networks; `Simulation`, what can be said of them with confidence;
    `samples_for_quantile` and `samples_for_distribution`, how many draws that takes.
Given weights
    `certify`, a bound of the gap for these weights and masks; `Certificate` and `CertifiedLayer`;
    `certify_checkpoint`, the same of safetensors; `CheckpointCertificate` and `TensorNorms`;
    `allocate_certified`, how much may go within a margin, `CertifiedAllocation`;
    `diagnose`, whether weights look independent; `Diagnosis`, what follows.
"""

from rustprune.bounds._activations import ACTIVATIONS as ACTIVATIONS
from rustprune.bounds._certify import Certificate as Certificate
from rustprune.bounds._certify import CertifiedLayer as CertifiedLayer
from rustprune.bounds._certify import certify as certify
from rustprune.bounds._checkpoint import CheckpointCertificate as CheckpointCertificate
from rustprune.bounds._checkpoint import TensorNorms as TensorNorms
from rustprune.bounds._checkpoint import certify_checkpoint as certify_checkpoint
from rustprune.bounds._diagnose import A_POSTERIORI as A_POSTERIORI
from rustprune.bounds._diagnose import A_PRIORI as A_PRIORI
from rustprune.bounds._diagnose import Diagnosis as Diagnosis
from rustprune.bounds._diagnose import diagnose as diagnose
from rustprune.bounds._estimate import METHODS as METHODS
from rustprune.bounds._estimate import estimate as estimate
from rustprune.bounds._formulas import GlobalBound as GlobalBound
from rustprune.bounds._formulas import MeanSquare as MeanSquare
from rustprune.bounds._formulas import classical as classical
from rustprune.bounds._formulas import closed_form as closed_form
from rustprune.bounds._formulas import closed_width as closed_width
from rustprune.bounds._formulas import estimate_global as estimate_global
from rustprune.bounds._formulas import mean_square as mean_square
from rustprune.bounds._formulas import random_mask_bound as random_mask_bound
from rustprune.bounds._inverse import Allocation as Allocation
from rustprune.bounds._inverse import Width as Width
from rustprune.bounds._inverse import allocate as allocate
from rustprune.bounds._inverse import max_prunable as max_prunable
from rustprune.bounds._inverse import min_width as min_width
from rustprune.bounds._laws import Laplace as Laplace
from rustprune.bounds._laws import Law as Law
from rustprune.bounds._laws import Normal as Normal
from rustprune.bounds._laws import Tabulated as Tabulated
from rustprune.bounds._laws import Uniform as Uniform
from rustprune.bounds._network import Layer as Layer
from rustprune.bounds._network import Network as Network
from rustprune.bounds._norms import Norm as Norm
from rustprune.bounds._norms import Part as Part
from rustprune.bounds._norms import conv_norm as conv_norm
from rustprune.bounds._norms import norms as norms
from rustprune.bounds._result import BoundEstimate as BoundEstimate
from rustprune.bounds._simulate import Simulation as Simulation
from rustprune.bounds._simulate import samples_for_distribution as samples_for_distribution
from rustprune.bounds._simulate import samples_for_quantile as samples_for_quantile
from rustprune.bounds._simulate import simulate as simulate
from rustprune.bounds._spectral import norm_bound as norm_bound
from rustprune.bounds._within import CertifiedAllocation as CertifiedAllocation
from rustprune.bounds._within import allocate_certified as allocate_certified
