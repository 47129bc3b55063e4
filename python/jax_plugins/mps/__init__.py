"""JAX on MLX: the PJRT plugin for the platform ``mps``.

JAX finds this module by itself, through the namespace package ``jax_plugins``
and through the entry point of the same name, and calls :func:`initialize`.
``python -m jax_plugins.mps`` prints what a bug report should contain.

When JAX makes the platform's client, and not before, ``MLX_ENABLE_TF32=0`` is put into the
environment of the process unless the variable is set: see :mod:`jax_plugins.mps.precision`.

For users: :func:`info`, and for the device's memory and traces
:func:`memory_info`, :func:`clear_cache`, :func:`set_cache_limit`,
:func:`set_memory_limit`, :func:`reset_peak_memory`, :func:`start_capture` and
:func:`stop_capture`.
"""

import importlib

_initialized = False

# Imported when they are asked for: JAX imports this module in every program.
_PUBLIC = {
    "info": "information",
    "memory_info": "controls",
    "clear_cache": "controls",
    "set_cache_limit": "controls",
    "set_memory_limit": "controls",
    "reset_peak_memory": "controls",
    "start_capture": "controls",
    "stop_capture": "controls",
}

__all__ = ["initialize", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


def initialize() -> None:
    """Makes the platform ``mps`` known to JAX; nothing is loaded yet.

    MLX and the device are touched when JAX makes its backends. What is missing
    then is reported by JAX when ``mps`` is asked for by name; otherwise the
    other platforms work as if the plugin were not installed.
    """
    global _initialized
    if _initialized:
        return
    from jax_plugins.mps import registration

    registration.register()
    _initialized = True
    adapt()


_ADAPTERS = {
    "donation.enable": "donation of arguments",
    "lowering.register": "lowering rules",
    "callbacks.register": "callbacks",
    "random_bits.register": "fast random bits",
    "next_after.register": "jnp.nextafter in one operation",
    "cache.enable": "the persistent compilation cache",
    "dlpack.enable": "DLPack",
    "interrupts.enable": "KeyboardInterrupt while an array is waited for",
    "memory_statistics.enable": "memory_stats without counters that do not exist",
    "alias.enable": "the name gpu",
}
"""What mends JAX where it is closed to new platforms: functions of modules here."""


def adapt() -> None:
    """Mends JAX where it is closed to new platforms; what cannot be is in :data:`guard.missing`."""
    from jax_plugins.mps import guard

    for path, what in _ADAPTERS.items():
        guard.attempt(what, _call, path)


def _call(path: str) -> None:
    # Imported inside of the guard: the modules import what they adapt.
    module, _, function = path.partition(".")
    getattr(importlib.import_module(f"{__name__}.{module}"), function)()
