"""Decompositions: the rules of JAX's own platforms, whose calls the library answers.

JAX lowers them to custom calls of jaxlib's kernels (``lapack_sgesdd_ffi`` and
so on) and treats failures and derivatives around these.  The library
implements the kernels themselves, by their names, so that the rules of every
release fit, shapes may be symbolic, and ``jax.export`` knows the calls as stable.

Private part of JAX: ``jax._src.interpreters.mlir._platform_specific_lowerings``.
"""

from jax._src.interpreters import mlir

from jax_plugins.mps import primitives
from jax_plugins.mps.registration import PLATFORM


def register() -> None:
    """Registers the rules; the platform must be known to JAX already."""
    for platform, group in (("cpu", primitives.LAPACK), ("cuda", primitives.OF_CUDA)):
        rules = mlir._platform_specific_lowerings[platform]
        for primitive in group:
            mlir.register_lowering(primitive, rules[primitive].rule, platform=PLATFORM)
