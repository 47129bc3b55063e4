"""Lowering of the hash behind JAX's default random numbers."""

import jax.ffi
from jax._src.interpreters import mlir
from jax.extend.random import threefry2x32_p

from jax_plugins.mps.registration import PLATFORM

try:
    from jax._src.random import threefry2x32 as _common
except ImportError:  # before JAX 0.10
    from jax._src import prng as _common

TARGET = "mps.threefry2x32"
"""Custom call: two keys and two words in, two words out, all ``ui32``."""


def register() -> None:
    """Registers the rule; the platform must be known to JAX already."""
    mlir.register_lowering(threefry2x32_p, _threefry2x32, platform=PLATFORM)


def _threefry2x32(ctx, *operands):
    """One call instead of the 130 elementwise operations of the common rule."""
    out, _ = ctx.avals_out
    exported = ctx.module_context.lowering_parameters.for_export
    if exported or not all(isinstance(size, int) for size in out.shape):
        # An exported program must run wherever it is taken, and symbolic sizes
        # are refined with it: the common rule has no call of ours.
        return _common._threefry2x32_lowering_rule(ctx, *operands)
    rank = len(out.shape)
    types, aligned = [], []
    for operand, aval in zip(operands, ctx.avals_in):
        if aval.shape not in ((), out.shape):
            dimensions = range(rank - len(aval.shape), rank)
            operand = mlir.broadcast_in_dim(
                ctx, operand, out, broadcast_dimensions=dimensions
            )
            aval = out
        types.append(aval)
        aligned.append(operand)
    return jax.ffi.ffi_lowering(TARGET)(ctx.replace(avals_in=types), *aligned)
