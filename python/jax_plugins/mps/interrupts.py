"""Ctrl-C, and the handlers of other signals, while the device computes.

Python runs handlers in its main thread only, and not before a function of C that was called
there has returned.  jaxlib looks for signals while it waits in ``block_until_ready``; elsewhere
the plugin's library does (``src/python/interrupts.rs``): while a program with callbacks runs, and
where ``np.asarray``, ``jax.device_get``, ``float`` and the like wait for an array.  What a handler
raises is raised as soon as Python runs again.

Private part of JAX: ``ArrayImpl._value``.
"""

from jax_plugins.mps import library, native
from jax_plugins.mps.wrapping import wrapped

waits_first = False
"""Whether arrays are copied to be looked at, which jaxlib waits for in a way of its own."""


def enable() -> None:
    """Puts a handler's exception in place of the error of the wait that it ended."""
    from jax._src import array

    look = array.ArrayImpl._value
    ours = wrapped(look.fget, _value)
    if ours is not look.fget:
        array.ArrayImpl._value = property(ours, doc=look.__doc__)


def look_for_signals(device_kind: str) -> None:
    """Makes the library look; to be called when there is a client."""
    global waits_first
    waits_first = "cuda" in device_kind.lower()
    try:
        native.module()
    except library.Unavailable:
        pass


def _value(original, self):
    if waits_first and not self.is_deleted():
        self.block_until_ready()
    try:
        return original(self)
    except RuntimeError:
        _raise_what_is_pending()
        raise


def _raise_what_is_pending() -> None:
    """Nothing by itself: Python raises at the beginning of a function."""


def interruptible(callback):
    """``callback``, whose ``KeyboardInterrupt`` is raised where the program was called.

    jaxlib would make a failure of the program of it.
    """
    try:
        return native.module().Interruptible(callback)
    except library.Unavailable:
        return callback
