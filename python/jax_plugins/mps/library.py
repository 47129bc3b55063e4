"""Finds the plugin's library and the MLX that it runs on."""

import ctypes
import importlib.util
import os
import pathlib
import re
import sys

MLX_VERSION = "0.32.4"
"""The MLX release that the library is linked against. MLX's C++ interface
differs from release to release, so no other will do."""

LIBRARY_PATH_VARIABLE = "JAX_MPS_LIBRARY_PATH"
"""Environment variable that names another library, for development."""

_MACOS = sys.platform == "darwin"
_SUFFIX = "dylib" if _MACOS else "so"
_loaded: str | None = None


class Unavailable(RuntimeError):
    """Something that the plugin needs is not installed; says what to do."""


def library_path() -> pathlib.Path:
    """The library to load; :class:`Unavailable` if there is none."""
    if override := os.environ.get(LIBRARY_PATH_VARIABLE):
        path = pathlib.Path(override)
        if not path.is_file():
            raise Unavailable(f"{LIBRARY_PATH_VARIABLE} names no file: {path}")
        return path.resolve()
    path = pathlib.Path(__file__).with_name(f"libjax_mps.{_SUFFIX}")
    if not path.is_file():
        raise Unavailable(
            f"the plugin's library {path} does not exist; reinstall jax-mps "
            f"(or set {LIBRARY_PATH_VARIABLE} to a library that you built)"
        )
    return path


def mlx_folder() -> pathlib.Path | None:
    """The installed ``mlx`` folder that has MLX's library, not imported."""
    try:
        spec = importlib.util.find_spec("mlx")
    except (ImportError, ValueError):
        return None
    for folder in (spec and spec.submodule_search_locations) or ():
        if _mlx_library(pathlib.Path(folder)).is_file():
            return pathlib.Path(folder)
    return None


def mlx_version(folder: pathlib.Path) -> str | None:
    """The release of the MLX in ``folder``; None if it does not say."""
    try:
        header = (folder / "include" / "mlx" / "version.h").read_text()
    except OSError:
        return None
    parts = [
        re.search(rf"define MLX_VERSION_{part}\s+(\d+)", header)
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    return ".".join(part[1] for part in parts) if all(parts) else None


def check_mlx() -> None:
    """Raises :class:`Unavailable` unless the right MLX is installed."""
    if mlx_folder() is None:
        raise Unavailable(f"MLX is not installed; {_advice()}")
    check_release()


def check_release() -> None:
    """Raises :class:`Unavailable` if MLX is installed in another release.

    The library itself compares releases too, when it makes a client: with the MLX that it has
    found, wherever that is. But it has been loaded then.
    """
    folder = mlx_folder()
    version = folder and mlx_version(folder)
    if version not in (None, MLX_VERSION):
        raise Unavailable(
            f"MLX {version} is installed in {folder}, but this jax-mps is built "
            f"for MLX {MLX_VERSION}; {_advice()}"
        )


def preload_mlx() -> bool:
    """Loads MLX's library so that the plugin's dependency on it is met.

    Needed only where the plugin and MLX are not in the same site-packages, so
    that the relative path inside the plugin leads nowhere.
    """
    folder = mlx_folder()
    if folder is None:
        return False
    ctypes.CDLL(str(_mlx_library(folder)), mode=ctypes.RTLD_GLOBAL)
    return True


def load(loader):
    """``loader(path)`` of the library, the same path every time.

    What has loaded it once shares the library's memory and device with what does
    so later, whatever has become of the environment variable since.
    """
    global _loaded
    path = _loaded or str(library_path())
    if not _loaded:
        check_release()
    try:
        result = loader(path)
    except Exception as error:
        # The loader's own words ("cannot open shared object file", "undefined
        # symbol") do not say what to install.
        check_mlx()
        if "libmlx" not in str(error) or not preload_mlx():
            if os.environ.get(LIBRARY_PATH_VARIABLE) and not isinstance(error, ImportError):
                raise Unavailable(f"{LIBRARY_PATH_VARIABLE}: {error}") from error
            raise
        result = loader(path)
    _loaded = path
    return result


def mlx_library() -> pathlib.Path | None:
    """MLX's library, where it is installed."""
    folder = mlx_folder()
    return folder and _mlx_library(folder)


def _mlx_library(folder: pathlib.Path) -> pathlib.Path:
    return folder / "lib" / f"libmlx.{_SUFFIX}"


def _advice() -> str:
    if _MACOS:
        return f"install it with `pip install mlx-metal=={MLX_VERSION}`"
    return (
        f"install it with `pip install mlx-cpu=={MLX_VERSION}` (any machine) or "
        f"`pip install mlx-cuda-13=={MLX_VERSION}` (NVIDIA GPU), not both"
    )
