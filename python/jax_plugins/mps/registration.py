"""Registers the platform with JAX and makes its client.

Private parts of JAX: ``xla_bridge.register_backend_factory`` and
``make_pjrt_c_api_client``, ``xla_client.load_pjrt_plugin_dynamically``,
``pjrt_plugin_loaded`` and ``make_c_api_device_topology``,
``_profiler.register_plugin_profiler``.
"""

import logging
import threading

from jax._src import xla_bridge
from jax._src.lib import _profiler, xla_client

from jax_plugins.mps import library

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
    _load()
    client = xla_bridge.make_pjrt_c_api_client(PLATFORM)
    kinds = ", ".join(device.device_kind for device in client.local_devices())
    _logger.info("Platform '%s': %s", PLATFORM, kinds)
    return client


def _make_topology(*args, **kwargs):
    return xla_client.make_c_api_device_topology(_load(), *args, **kwargs)


def _load():
    """Loads the library into the process, once, and returns its PJRT_Api."""
    global _c_api
    with _lock:
        if _c_api is None:
            _c_api = library.load(
                lambda path: xla_client.load_pjrt_plugin_dynamically(PLATFORM, path)
            )
            _profiler.register_plugin_profiler(_c_api)
        return _c_api
