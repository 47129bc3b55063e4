"""Lets ``jax.jit(..., donate_argnums=...)`` donate on this platform.

Private part of JAX: ``mlir._platforms_with_donation``, the list of platforms
for which donated arguments are marked in the program. Elsewhere they are
dropped with a warning.
"""

from jax._src.interpreters import mlir

from jax_plugins.mps.registration import PLATFORM


def enable() -> None:
    """Adds the platform to the list."""
    if PLATFORM not in mlir._platforms_with_donation:
        mlir._platforms_with_donation.append(PLATFORM)
