"""Functions of JAX wrapped in place, and clients under another platform's name."""

import functools


def wrapped(original, ours):
    """``original`` under its own name, answered by ``ours(original, ...)``.

    What is wrapped already comes back as it is.
    """
    if getattr(original, "_jax_mps", False):
        return original

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        return ours(original, *args, **kwargs)

    wrapper._jax_mps = True
    return wrapper


class Renamed:
    """A client whose platform reads otherwise, for parts of JAX that know the platforms they serve by name."""

    def __init__(self, client, platform: str):
        self._client = client
        self.platform = platform

    def __getattr__(self, name):
        return getattr(self._client, name)
