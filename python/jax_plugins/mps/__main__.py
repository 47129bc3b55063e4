"""``python -m jax_plugins.mps``: :func:`jax_plugins.mps.info` in a few lines."""

import sys

from jax_plugins.mps import information, library


def main() -> int:
    """Prints versions, paths and the device; 1 if there is no device."""
    found = {}
    for part in information.PARTS:
        added = part()
        found |= added
        for name, content in added.items():
            _PRINTERS[name](content, found)
    return 0 if found["device"] else 1


def _line(label: str, text: object) -> None:
    print(f"{label:<12} {text}", flush=True)


def _versions(versions, _) -> None:
    for name, version in versions.items():
        _line(name, version or "not installed")


def _paths(paths, _) -> None:
    _line("MLX folder", f"{paths['mlx'] or 'none'} (wanted: MLX {library.MLX_VERSION})")
    _line("libmlx", paths["libmlx"] or "none")
    try:
        _line("library", library.library_path())
    except library.Unavailable as error:
        _line("library", f"none: {error}")


def _environment(environment, _) -> None:
    for name, text in environment.items():
        _line(name, text)


def _device(device, found) -> None:
    if device is None:
        _line("device", f"none: {found['error']}")
        return
    _line("device", f"{device['name']} ({device['kind']})")
    _line("backend", device["backend"] or "unknown: the library was built without its Python module")
    _line("runtime", device["runtime"])
    _line("default", "yes" if device["default"] else "no")
    for name, value in device["properties"].items():
        _line(name, value)


def _memory(memory, _) -> None:
    if memory:
        _line("memory", ", ".join(f"{name.replace('_', ' ')} {size}" for name, size in memory.items()) + " (bytes)")


_PRINTERS = {
    "versions": _versions,
    "python": lambda text, _: _line("python", text),
    "system": lambda text, _: _line("system", text),
    "paths": _paths,
    "environment": _environment,
    "device": _device,
    "error": lambda *_: None,
    "memory": _memory,
}


if __name__ == "__main__":
    sys.exit(main())
