"""Where the JAX primitives live that the lowering rules are for.

Private parts of JAX: the primitives below. Most have no public name, or not in
every supported release.
"""

from jax._src import checkify, debugging
from jax._src.cudnn import scaled_matmul_stablehlo
from jax._src.lax import ann, linalg, parallel

LAPACK = tuple(
    getattr(linalg, name)
    for name in (
        "eig_p",
        "eigh_p",
        "geqp3_p",
        "geqrf_p",
        "hessenberg_p",
        "householder_product_p",
        "lu_p",
        "ormqr_p",  # since 0.10
        "schur_p",
        "svd_p",
        "tridiagonal_p",
        "tridiagonal_solve_p",
    )
    if hasattr(linalg, name)
)
"""Decompositions that the CPU's rule sends to LAPACK."""

OF_CUDA = (linalg.lu_pivots_to_permutation_p,)
"""Primitives that the CPU's rule makes a loop of, and CUDA's a custom call."""

CHECK = checkify.check_p
"""A check of checkify that raises while the program runs."""

DEBUG_CALLBACK = debugging.debug_callback_p
"""``jax.debug.callback``."""

DEBUG_PRINT = debugging.debug_print_p
"""``jax.debug.print``."""

APPROX_TOP_K = ann.approx_top_k_p
"""The largest or smallest elements, some of which may be missed."""

PBROADCAST = parallel.pbroadcast_p
"""Every device gets the array of one: has a rule on JAX's GPUs only."""

SCALED_MATMUL = scaled_matmul_stablehlo._scaled_matmul_p
"""``jax.nn.scaled_matmul``: before JAX 0.11 CUDA and ROCm alone have rules."""
