"""DLPack for arrays of this platform, whose memory the host shares.

jaxlib packs arrays of the platforms that it knows only.  Here numpy does it:
the capsule holds a view of the array's own memory, as a tensor of the CPU, that
keeps the array alive.  Types that numpy has not (``bfloat16`` and smaller) go
through a copy on JAX's CPU platform.

Private parts of JAX: ``dlpack.to_dlpack`` and ``from_dlpack``,
``ArrayImpl.__dlpack_device__``.
"""

import jax
import numpy as np
from jax._src import array, dlpack

from jax_plugins.mps.registration import PLATFORM
from jax_plugins.mps.wrapping import wrapped

CPU = 1
"""DLPack's number of the CPU."""

METAL = 8
"""DLPack's number of Metal, which MLX gives its arrays on a Mac."""


def enable() -> None:
    """Wraps JAX's functions; other platforms' arrays pass through."""
    dlpack.to_dlpack = wrapped(dlpack.to_dlpack, _to_dlpack)
    # jax.dlpack took the function by name already.
    jax.dlpack.from_dlpack = dlpack.from_dlpack = wrapped(
        dlpack.from_dlpack, _from_dlpack
    )
    kind = array.ArrayImpl.__dlpack_device__
    array.ArrayImpl.__dlpack_device__ = wrapped(kind, _dlpack_device)


def _is_ours(x) -> bool:
    return isinstance(x, jax.Array) and {d.platform for d in x.devices()} == {PLATFORM}


def _dlpack_device(original, x):
    return (dlpack.DLDeviceType.kDLCPU, 0) if _is_ours(x) else original(x)


def _to_dlpack(
    original,
    x,
    stream=None,
    src_device=None,
    dl_device=None,
    max_version=None,
    copy=None,
):
    rest = dict(dl_device=dl_device, max_version=max_version)
    if not _is_ours(x) or len(x.devices()) != 1:
        return original(x, stream=stream, src_device=src_device, copy=copy, **rest)
    if dl_device is not None and int(dl_device[0]) != CPU:
        raise BufferError(f"arrays of {PLATFORM} are given to the CPU, not to {dl_device}")
    host = None if x.dtype.isbuiltin != 1 else np.asarray(x)
    shared = host is not None and host.ctypes.data == _address(x)
    if copy is False and not shared:
        raise BufferError(f"{x.dtype} arrays of {PLATFORM} cannot be given away uncopied")
    if host is None:
        (cpu,) = jax.devices("cpu")[:1]
        return original(jax.device_put(x, cpu), copy=None, **rest)
    given = _writable(host) if shared and not copy else host.copy()
    return given.__dlpack__()


def _address(x):
    return x.unsafe_buffer_pointer() if x.size else None


class _Memory:
    """Memory of an array that numpy may see as its own."""

    def __init__(self, view: np.ndarray):
        self.view = view
        self.__array_interface__ = {
            **view.__array_interface__,
            "data": (view.ctypes.data, False),
        }


def _writable(view: np.ndarray) -> np.ndarray:
    """The same memory without the mark that DLPack before 1.0 cannot carry.

    Consumers must not write, as JAX says of all of its arrays.
    """
    return np.asarray(_Memory(view))


def _from_dlpack(original, external_array, device=None, copy=None):
    if _is_ours(external_array) and device in (None, *external_array.devices()):
        # It comes back to where it is, not to the CPU that its memory is given away as.
        (own,) = external_array.devices()
        return jax.device_put(external_array, own, may_alias=not copy)
    kind, _ = (
        external_array.__dlpack_device__()
        if hasattr(external_array, "__dlpack_device__")
        else (None, None)
    )
    if kind is not None and int(kind) == METAL:
        # Memory that the host shares, behind Python's buffer protocol.
        host = np.asarray(memoryview(external_array))
    elif kind is not None and int(kind) == CPU and not _has_cpu():
        host = np.from_dlpack(external_array)
    else:
        return original(external_array, device=device, copy=copy)
    if copy is False:
        raise ValueError(f"an array from outside is copied to {PLATFORM}: copy=False")
    return jax.device_put(host, device)


def _has_cpu() -> bool:
    """False under ``JAX_PLATFORMS=mps``, where JAX's own way has no device to begin on."""
    try:
        return bool(jax.devices("cpu"))
    except RuntimeError:
        return False
