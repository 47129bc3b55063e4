"""Lets programs of this platform into JAX's persistent compilation cache.

Private part of JAX: ``compilation_cache.is_cache_used``, which knows the
platforms with a cache by name, and remembers its first answer for all of them.
"""

from jax._src import compilation_cache

from jax_plugins.mps.registration import PLATFORM
from jax_plugins.mps.wrapping import Renamed, wrapped


def enable() -> None:
    """Answers for this platform as for the others."""
    compilation_cache.is_cache_used = wrapped(
        compilation_cache.is_cache_used, _is_cache_used
    )


def _is_cache_used(original, backend) -> bool:
    return original(
        Renamed(backend, "gpu") if backend.platform == PLATFORM else backend
    )
