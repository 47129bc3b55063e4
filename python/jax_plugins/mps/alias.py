"""``JAX_MPS_ALIAS=gpu``: ``"gpu"`` means this platform too, where JAX takes a platform's name.

``jax.devices("gpu")``, ``jax.jit(backend="gpu")`` and ``JAX_PLATFORMS`` know CUDA, ROCm and
oneAPI by that name.  This platform comes last of them: where one of those is present, it stays
what is meant.  Devices keep their own platform name, ``mps``.

It is not so by itself, because programs that find a device by that name go on to treat it as one
of the three: JAX's own tests export for ``"cuda"`` and then call on ``jax.devices("gpu")``.

Lowering rules that a module registers for ``"gpu"`` when it is imported later than this are
registered for this platform as well.  JAX's own modules are imported before.

Private part of JAX: ``xla_bridge._alias_to_platforms``.
"""

import os

from jax._src import xla_bridge

from jax_plugins.mps.registration import PLATFORM

VARIABLE = "JAX_MPS_ALIAS"


def enable() -> None:
    """Adds the platform to those that ``"gpu"`` stands for, if the user wants it.

    Raises:
      ValueError: another name than ``gpu`` is asked for.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return
    if name != "gpu":
        raise ValueError(f"{VARIABLE}={name}: expected gpu")
    platforms = xla_bridge._alias_to_platforms[name]
    if PLATFORM not in platforms:
        platforms.append(PLATFORM)
