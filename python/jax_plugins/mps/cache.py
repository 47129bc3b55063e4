"""Lets programs of this platform into JAX's persistent compilation cache.

Private part of JAX: ``compilation_cache.is_cache_used``, which knows the
platforms with a cache by name, and remembers its first answer for all of them.
"""

import functools

from jax._src import compilation_cache

from jax_plugins.mps.registration import PLATFORM


def enable() -> None:
    """Answers for this platform as for the others."""
    ask = compilation_cache.is_cache_used
    if getattr(ask, "_jax_mps", False):
        return

    @functools.wraps(ask)
    def is_cache_used(backend) -> bool:
        return ask(_Other(backend) if backend.platform == PLATFORM else backend)

    is_cache_used._jax_mps = True
    compilation_cache.is_cache_used = is_cache_used


class _Other:
    """A client under the name of a platform that has a cache."""

    platform = "gpu"

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)
