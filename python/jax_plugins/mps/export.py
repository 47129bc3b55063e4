"""What ``jax.export`` lets through on this platform."""

from jax._src.export import _export

from jax_plugins.mps import random_bits

TARGETS = (random_bits.TARGET,)
"""Custom calls whose meaning will not change: exported programs may hold them."""


def allow() -> None:
    """Adds our targets to those that JAX serializes."""
    _export._CUSTOM_CALL_TARGETS_GUARANTEED_STABLE.update(TARGETS)
