"""Registers the platform with JAX and makes its client.

Private parts of JAX: ``xla_bridge.register_backend_factory`` and
``make_pjrt_c_api_client``, ``xla_client.load_pjrt_plugin_dynamically``,
``pjrt_plugin_loaded`` and ``make_c_api_device_topology``,
``_profiler.register_plugin_profiler``.
"""

import logging
import os
import re
import threading
import warnings

import jax
from jax._src import xla_bridge
from jax._src.lib import xla_client

from jax_plugins.mps import guard, library, precision

PLATFORM = "mps"

# Above JAX's own platforms (CPU 0, TPU 300, GPU plugins 500 or less), so that
# an installed and working plugin is the default device.
PRIORITY = 500

# Below JAX's own loggers, whose level the user sets.
_logger = logging.getLogger("jax.plugins.mps")

_lock = threading.Lock()
_c_api = None


def register() -> None:
    """Adds the platform to JAX's backends.

    ``xla_bridge.register_plugin`` is not used: it loads the library at once,
    for programs that only want the CPU too; it makes every JAX program fail
    where the device is missing; and it calls the platform experimental.
    """
    xla_bridge.register_backend_factory(
        PLATFORM,
        _make_client,
        priority=PRIORITY,
        fail_quietly=True,
        experimental=False,
        make_topology=_make_topology,
    )


def _make_client():
    try:
        _load()
        client = xla_bridge.make_pjrt_c_api_client(PLATFORM)
    except Exception as error:
        _tell_of_settings(error)
        raise
    kinds = ", ".join(device.device_kind for device in client.local_devices())
    _logger.info("Platform '%s': %s", PLATFORM, kinds)
    guard.attempt("signals while a program runs", _look_for_signals, kinds)
    return client


def _tell_of_settings(error: Exception) -> None:
    """Warns of settings that keep the platform away, where JAX would go on without it and say nothing."""
    named = sorted({name for name in re.findall(r"JAX_MPS_\w+", str(error)) if os.environ.get(name)})
    asked_for = PLATFORM in (jax.config.jax_platforms or "").split(",")
    if named and not asked_for:
        settings = ", ".join(f"{name}={os.environ[name]}" for name in named)
        warnings.warn(f"JAX runs without the platform {PLATFORM}, because of {settings}: {error}", stacklevel=2)


def _look_for_signals(device_kind: str) -> None:
    from jax_plugins.mps import interrupts

    interrupts.look_for_signals(device_kind)


def _make_topology(*args, **kwargs):
    return xla_client.make_c_api_device_topology(_load(), *args, **kwargs)


def _load():
    """Loads the library into the process, once, and returns its PJRT_Api."""
    global _c_api
    with _lock:
        if _c_api is None:
            precision.keep_float32()
            _c_api = library.load(
                lambda path: xla_client.load_pjrt_plugin_dynamically(PLATFORM, path)
            )
            guard.attempt("jax.profiler", _register_profiler, _c_api)
        return _c_api


def _register_profiler(c_api) -> None:
    from jax._src.lib import _profiler

    _profiler.register_plugin_profiler(c_api)
