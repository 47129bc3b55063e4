"""Where the JAX primitives live that the lowering rules are for.

Private parts of JAX: the primitives below. Most have no public name, or not in
every supported release. Each is looked up when it is asked for.
"""

import importlib

import jax

LAPACK = (
    "eig_p",
    "eigh_p",
    "geqp3_p",
    "geqrf_p",
    "hessenberg_p",
    "householder_product_p",
    "lu_p",
    *(("ormqr_p",) if jax.__version_info__ >= (0, 10) else ()),
    "schur_p",
    "svd_p",
    "tridiagonal_p",
    "tridiagonal_solve_p",
)
"""Decompositions that the CPU's rule sends to LAPACK, by their names in ``jax._src.lax.linalg``."""

OF_CUDA = ("lu_pivots_to_permutation_p",)
"""Primitives there that the CPU's rule makes a loop of, and CUDA's a custom call."""

_HOMES = {
    # A check of checkify that raises while the program runs.
    "CHECK": "jax._src.checkify.check_p",
    # ``jax.debug.callback``.
    "DEBUG_CALLBACK": "jax._src.debugging.debug_callback_p",
    # ``jax.debug.print``.
    "DEBUG_PRINT": "jax._src.debugging.debug_print_p",
    # The largest or smallest elements, some of which may be missed.
    "APPROX_TOP_K": "jax._src.lax.ann.approx_top_k_p",
    # Every device gets the array of one: has a rule on JAX's GPUs only.
    "PBROADCAST": "jax._src.lax.parallel.pbroadcast_p",
    # The gradient of max and min pooling.
    "SELECT_AND_SCATTER_ADD": "jax._src.lax.windowed_reductions.select_and_scatter_add_p",
    # ``jax.nn.scaled_matmul``: before JAX 0.11 CUDA and ROCm alone have rules.
    "SCALED_MATMUL": "jax._src.cudnn.scaled_matmul_stablehlo._scaled_matmul_p",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _at(_HOMES[name])


def of_linear_algebra(name: str):
    """The primitive of that name in ``jax._src.lax.linalg``."""
    return _at(f"jax._src.lax.linalg.{name}")


def _at(path: str):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
