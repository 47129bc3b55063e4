"""Lowering of ``jnp.nextafter``, which jaxlib expands into sixteen operations.

Adaptive solvers of differential equations are full of it.  Private part of JAX:
``jax._src.interpreters.mlir._lowerings``.
"""

import jax.ffi
from jax import lax
from jax._src.interpreters import mlir as private
from jax.interpreters import mlir

from jax_plugins.mps.registration import PLATFORM

TARGET = "mps.next_after"
"""Custom call: two floats of one type in, the one that follows the first towards the second out."""


def register() -> None:
    """Registers the rule; the platform must be known to JAX already."""
    common = private._lowerings[lax.nextafter_p].rule

    def rule(ctx, *operands, **params):
        (out,) = ctx.avals_out
        exported = ctx.module_context.lowering_parameters.for_export
        # An exported program must run wherever it is taken, and symbolic sizes
        # are refined with it: the common rule has no call of ours.
        if exported or any(
            aval.shape != out.shape or not all(isinstance(size, int) for size in aval.shape)
            for aval in ctx.avals_in
        ):
            return common(ctx, *operands, **params)
        return jax.ffi.ffi_lowering(TARGET)(ctx, *operands)

    mlir.register_lowering(lax.nextafter_p, rule, platform=PLATFORM)
