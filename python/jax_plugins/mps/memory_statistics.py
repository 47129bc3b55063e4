"""``Device.memory_stats()`` without what MLX does not count.

The plugin leaves such counters unset; jaxlib reports -1 for them.

Private part of JAX: that ``jax.Device.memory_stats`` can be replaced.
"""

import jax

from jax_plugins.mps.registration import PLATFORM
from jax_plugins.mps.wrapping import wrapped


def enable() -> None:
    """Wraps JAX's method; other platforms' devices answer as before."""
    jax.Device.memory_stats = wrapped(jax.Device.memory_stats, _memory_stats)


def _memory_stats(original, device):
    statistics = original(device)
    if statistics is None or device.platform != PLATFORM:
        return statistics
    return {name: value for name, value in statistics.items() if value != -1}
