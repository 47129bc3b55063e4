"""What a bug report should contain."""

import importlib.metadata
import os
import platform
import sys

from jax_plugins.mps import library, native

PACKAGES = ("jax-mps", "jax", "jaxlib", "numpy")
MLX_PACKAGES = ("mlx-metal", "mlx-cpu", "mlx-cuda-13")
VARIABLES = ("JAX_MPS_", "JAX_PLATFORMS", "MLX_", "MTL_CAPTURE_ENABLED")


def info() -> dict:
    """Versions, paths, settings, device and memory of this installation.

    ``versions``: of each package (None: not installed), and of the MLX that is
    found; ``python``, ``system``; ``paths``: of the plugin's ``library`` (None:
    there is none), MLX's package ``mlx`` and its ``libmlx``; ``environment``: the
    variables that the plugin and MLX read; ``device``: None where there is none,
    with the reason in ``error``, else its ``name``, ``kind``, ``runtime``,
    ``backend`` (``cpu``, ``metal`` or ``cuda``), whether it is the ``default``, and
    what MLX says of it, such as ``architecture`` and sizes of memory, in
    ``properties``; ``memory``: as :func:`memory_info` gives it, in bytes.

    This starts JAX's backends. It works without the library's Python module too:
    then ``backend`` is None, and there are no ``properties``.
    """
    found = {}
    for part in PARTS:
        found |= part()
    return found


def versions() -> dict:
    """Packages, Python, system."""
    folder = library.mlx_folder()
    found = {name: _version(name) for name in PACKAGES}
    found["mlx"] = folder and library.mlx_version(folder)
    found |= {name: version for name in MLX_PACKAGES if (version := _version(name))}
    return {
        "versions": found,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
    }


def paths() -> dict:
    """Files that are loaded."""
    try:
        path = str(library.library_path())
    except library.Unavailable:
        path = None
    folder, libmlx = library.mlx_folder(), library.mlx_library()
    return {"paths": {"library": path, "mlx": folder and str(folder), "libmlx": libmlx and str(libmlx)}}


def environment() -> dict:
    """Settings."""
    return {"environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)}}


def device() -> dict:
    """The device, and its memory."""
    import jax

    try:
        found = jax.devices("mps")[0]
    except RuntimeError as error:
        return {"device": None, "error": str(error), "memory": None}
    try:
        ours = native.module()
        described, memory = ours.info(), ours.memory_info()
    except library.Unavailable:
        described, memory = {"backend": None, "device": {}}, _memory(found.memory_stats())
    return {
        "device": {
            "name": str(found),
            "kind": found.device_kind,
            "runtime": " ".join(found.client.platform_version.split()),
            "default": jax.default_backend() == found.platform,
            "backend": described["backend"],
            "properties": described["device"],
        },
        "memory": memory,
    }


PARTS = (versions, paths, environment, device)
"""In the order of what can go wrong: each is printed before the next is asked for."""


def _memory(stats: dict[str, int]) -> dict[str, int]:
    """The same numbers from JAX's own."""
    return {
        "in_use": stats["bytes_in_use"],
        "peak": stats["peak_bytes_in_use"],
        "cached": stats["pool_bytes"] - stats["bytes_in_use"],
        "limit": stats["bytes_limit"],
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
