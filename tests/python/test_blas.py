"""Which BLAS MLX multiplies with on Linux: ours when the plugin comes first, else the wheel's.

The dynamic linker itself is asked (``LD_DEBUG=bindings``), in processes of their own.
"""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="on macOS, MLX uses Accelerate")

PLUGIN_FIRST = """
import jax
jax.devices("mps")
import mlx.core as mx
"""
MLX_FIRST = """
import mlx.core as mx
mx.eval(mx.ones((2, 2)) @ mx.ones((2, 2)))
import jax
jax.devices("mps")
"""
PRODUCTS = """
import numpy as np
random = np.random.default_rng(0)
a = random.standard_normal((70, 50)).astype(np.float32)
b = random.standard_normal((50, 90)).astype(np.float32)
for x, y in ((a, b), (a + 1j * a[::-1], b - 1j * b)):
    x, y = (z.astype(np.complex64 if np.iscomplexobj(z) else np.float32) for z in (x, y))
    ours = jax.device_put(x, jax.devices("mps")[0]) @ jax.device_put(y, jax.devices("mps")[0])
    theirs = mx.matmul(mx.array(x), mx.array(y), stream=mx.cpu)
    for result in (ours, theirs):
        np.testing.assert_allclose(np.array(result), x @ y, rtol=1e-4, atol=1e-4)
print("products agree")
"""


def bound_to(script, directory, symbol):
    """File names of the libraries that libmlx.so's reference to the symbol was bound to."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "mps,cpu",
        "JAX_MPS_DEVICE": "cpu",
        "LD_DEBUG": "bindings",
        "LD_DEBUG_OUTPUT": str(directory / "bindings"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script + PRODUCTS], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "products agree" in done.stdout
    libraries = []
    for log in directory.glob("bindings.*"):
        for line in log.read_text(errors="replace").splitlines():
            if f"symbol `{symbol}'" in line and "binding file " in line:
                source, _, target = line.partition("binding file ")[2].partition(" to ")
                if pathlib.Path(source.split(" [")[0]).name == "libmlx.so":
                    libraries.append(pathlib.Path(target.split(" [")[0]).name)
    return libraries


@pytest.mark.parametrize("symbol", ["cblas_sgemm", "cblas_cgemm"])
def test_mlx_multiplies_with_our_blas_when_the_plugin_is_loaded_first(symbol, tmp_path):
    libraries = bound_to(PLUGIN_FIRST, tmp_path, symbol)
    assert libraries, f"libmlx.so never bound {symbol}"
    assert all("jax_mps" in library for library in libraries), libraries


def test_mlx_keeps_its_own_blas_when_it_is_loaded_first(tmp_path):
    libraries = bound_to(MLX_FIRST, tmp_path, "cblas_sgemm")
    assert libraries and all(library.startswith("libblas") for library in libraries), libraries
