"""The Python module inside the plugin's library.

It is imported from the very file that jaxlib loads, so that it sees the MLX
that computes. The library has it when it was built with the cargo feature
``python``, as that of the wheel is (src/python).
"""

import functools
import importlib.machinery
import importlib.util
import sysconfig

from jax_plugins.mps import library

_NAME = "jax_plugins.mps._native"
_ENTRY = "PyInit__native"


@functools.cache
def module():
    """The module; :class:`library.Unavailable` says why there is none."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise library.Unavailable(
            "the plugin's Python module is built for Python's stable ABI, which "
            "free-threaded Python has not; programs run without it"
        )
    try:
        return library.load(_import)
    except ImportError as error:
        if _ENTRY not in str(error):
            raise library.Unavailable(f"the plugin's library does not load: {error}") from error
        raise library.Unavailable(
            f"{error.path or 'the plugin library'} was built without the cargo feature 'python', "
            "which this needs: build it with `cargo build --release --features python`, "
            "or install jax-mps from its wheel"
        ) from None


def _import(path: str):
    # The file has not the name of a module, so that Python's own search does not find it.
    loader = importlib.machinery.ExtensionFileLoader(_NAME, path)
    spec = importlib.util.spec_from_file_location(_NAME, path, loader=loader)
    found = importlib.util.module_from_spec(spec)
    loader.exec_module(found)
    return found
