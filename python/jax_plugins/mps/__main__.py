"""``python -m jax_plugins.mps``: the installation in a few lines."""

import importlib.metadata
import os
import platform
import sys


def main() -> int:
    """Prints versions, paths and the device; 1 if there is no device."""
    _line("jax-mps", _version("jax-mps"))
    for name in ("jax", "jaxlib", "numpy"):
        _line(name, _version(name))
    _line("python", f"{platform.python_version()} ({sys.executable})")
    _line("system", platform.platform())

    from jax_plugins.mps import library

    for name in ("mlx", "mlx-metal", "mlx-cpu", "mlx-cuda-13"):
        if _version(name) != "not installed":
            _line(name, _version(name))
    folder = library.mlx_folder()
    _line("MLX folder", f"{folder or 'none'} (wanted: MLX {library.MLX_VERSION})")
    _line("library", _text_or_error(library.library_path))
    for name in sorted(os.environ):
        if name.startswith(("JAX_MPS_", "JAX_PLATFORMS", "MLX_")):
            _line(name, os.environ[name])

    import jax

    try:
        device = jax.devices("mps")[0]
    except RuntimeError as error:
        _line("device", f"none: {error}")
        return 1
    _line("device", f"{device} ({device.device_kind})")
    _line("runtime", " ".join(device.client.platform_version.split()))
    _line("default", jax.default_backend())
    return 0


def _line(label: str, text: object) -> None:
    print(f"{label:<12} {text}", flush=True)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _text_or_error(function) -> str:
    try:
        return str(function())
    except RuntimeError as error:
        return f"none: {error}"


if __name__ == "__main__":
    sys.exit(main())
