"""JAX on MLX: the PJRT plugin for the platform ``mps``.

JAX finds this module by itself, through the namespace package ``jax_plugins``
and through the entry point of the same name, and calls :func:`initialize`.
``python -m jax_plugins.mps`` prints what a bug report should contain.

For users: :func:`info`, and for the device's memory and traces
:func:`memory_info`, :func:`clear_cache`, :func:`set_cache_limit`,
:func:`set_memory_limit`, :func:`reset_peak_memory`, :func:`start_capture` and
:func:`stop_capture`.
"""

import importlib
import logging

_logger = logging.getLogger(__name__)
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
    from jax_plugins.mps import precision, registration

    precision.keep_float32()
    registration.register()
    _initialized = True

    from jax_plugins.mps import (
        alias,
        cache,
        callbacks,
        dlpack,
        donation,
        lowering,
        random_bits,
    )

    for adapt in (
        donation.enable,
        lowering.register,
        callbacks.register,
        random_bits.register,
        cache.enable,
        dlpack.enable,
        alias.enable,
    ):
        try:
            adapt()
        except (ImportError, AttributeError, KeyError, NotImplementedError) as error:
            # A part of JAX that has no public interface has moved. The
            # plugin works without these; the user should know what is missing.
            _logger.warning(
                "jax-mps: %s needs an internal part of JAX that this release lacks: %s",
                adapt.__module__,
                error,
            )
