"""Memory and traces of the device. Sizes are bytes.

There is one allocator in a process, MLX's: arrays of MLX's own Python package
count too.

All of these raise ``RuntimeError`` where the plugin's library was built without
its Python module, and in a child that was forked from a process which uses the
device.
"""

import operator
import os

from jax_plugins.mps import native


def memory_info() -> dict[str, int]:
    """How much memory the device's arrays take.

    ``in_use``: of live arrays; ``peak``: the most that this has been;
    ``cached``: freed, and kept for the next array; ``limit``: beyond which MLX
    waits for memory (:func:`set_memory_limit`). In bytes.
    """
    return native.module().memory_info()


def clear_cache() -> None:
    """Gives the memory that is kept for the next array back to the system."""
    native.module().clear_cache()


def set_cache_limit(bytes: int) -> int:
    """Sets how much memory is kept for the next array at most; returns what it was.

    0 keeps nothing. What is kept beyond a new limit goes back to the system at
    the next allocation. ``JAX_MPS_CACHE_LIMIT`` sets the first limit, when the
    device is opened.
    """
    return native.module().set_cache_limit(_size(bytes))


def set_memory_limit(bytes: int) -> int:
    """Sets how much memory arrays may take before MLX waits for some to be freed; returns what it was.

    This is no wall: where nothing is freed, MLX goes beyond it. But a program
    with a single array that is larger is refused when it is compiled.
    """
    return native.module().set_memory_limit(_size(bytes))


def reset_peak_memory() -> None:
    """Makes ``peak`` of :func:`memory_info` begin anew, at 0 until the next allocation."""
    native.module().reset_peak_memory()


def start_capture(path: str | os.PathLike) -> None:
    """Records what the GPU does, until :func:`stop_capture`, for Xcode.

    ``path`` is a new file and ends in ``.gputrace``. Metal alone records, in a
    process that was started with ``MTL_CAPTURE_ENABLED=1``; with others than
    these: ``ValueError`` for another ending, ``FileExistsError``,
    ``RuntimeError``. Programs in between are recorded as far as the device has
    done them when the recording stops: wait for their results
    (``jax.block_until_ready``).
    """
    native.module().start_capture(os.path.abspath(os.fspath(path)))


def stop_capture() -> None:
    """Ends the recording that :func:`start_capture` began; ``RuntimeError`` if there is none."""
    native.module().stop_capture()


def _size(bytes: int) -> int:
    size = operator.index(bytes)
    if not 0 <= size < 2**63:
        raise ValueError(f"expected a number of bytes, not {size}")
    return size
