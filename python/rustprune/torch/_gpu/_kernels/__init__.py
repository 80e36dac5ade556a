"""Triton kernels. What they are launched with is in the modules of the same names one level up."""
