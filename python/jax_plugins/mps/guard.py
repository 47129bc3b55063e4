"""Uses of what JAX keeps to itself, each on its own: any release may move any of it.

The plugin works without each of them; the user is told what is missing.
"""

import logging

_logger = logging.getLogger("jax_plugins.mps")

missing: dict[str, str] = {}
"""What could not be adapted, and why."""


def attempt(what: str, adapt, *args) -> None:
    """``adapt(*args)``; a part of JAX that is not where it was costs ``what`` alone."""
    try:
        adapt(*args)
    except (ImportError, AttributeError, KeyError, NotImplementedError) as error:
        missing[what] = str(error)
        _logger.warning(
            "jax-mps: %s: not available, since an internal part of JAX is not where it was: %s",
            what,
            error,
        )
