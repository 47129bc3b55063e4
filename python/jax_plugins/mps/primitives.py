"""Where the JAX primitives live that the lowering rules are for.

Private parts of JAX: the primitives below. Most have no public name, or not in
every supported release.
"""

from jax._src import callback, checkify, debugging
from jax._src.lax import ann, linalg

UNSUPPORTED = (
    linalg.eig_p,
    linalg.eigh_p,
    linalg.geqp3_p,
    linalg.hessenberg_p,
    linalg.schur_p,
    linalg.svd_p,
    linalg.tridiagonal_p,
)
"""Decompositions that have no lowering on an unknown platform, or (svd) only
one through another of these."""

HOST_CALLBACKS = (
    callback.io_callback_p,
    callback.pure_callback_p,
    checkify.check_p,
    debugging.debug_callback_p,
    debugging.debug_print_p,
)
"""Primitives that call back into Python while the program runs."""

GEQRF = linalg.geqrf_p
"""Householder QR in LAPACK's packed form."""

HOUSEHOLDER_PRODUCT = linalg.householder_product_p
"""The Q of a packed QR."""

APPROX_TOP_K = ann.approx_top_k_p
"""The largest or smallest elements, some of which may be missed."""
