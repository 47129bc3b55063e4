"""``"gpu"`` means this platform too, where JAX takes the name of a platform.

``jax.devices("gpu")``, ``jax.jit(backend="gpu")`` and ``JAX_PLATFORMS`` know CUDA, ROCm and
oneAPI by that name.  This platform comes last of them: where one of those is present, it stays
what is meant.  Devices keep their own platform name, ``mps``.

Lowering rules that a module registers for ``"gpu"`` when it is imported later than this are
registered for this platform as well.  JAX's own modules are imported before.

Private part of JAX: ``xla_bridge._alias_to_platforms``.
"""

from jax._src import xla_bridge

from jax_plugins.mps.registration import PLATFORM


def enable() -> None:
    """Adds the platform to those that ``"gpu"`` stands for."""
    platforms = xla_bridge._alias_to_platforms["gpu"]
    if PLATFORM not in platforms:
        platforms.append(PLATFORM)
