"""DLPack between arrays of the device and numpy, MLX and JAX's own CPU."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

DTYPES = [np.bool_, np.int8, np.int32, np.uint16, np.float16, np.float32, np.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)], ids=str)
def test_numpy_takes_arrays(dtype, shape, device):
    expected = np.ones(shape).astype(dtype)
    taken = np.from_dlpack(jax.device_put(expected, device))
    assert taken.dtype == expected.dtype
    np.testing.assert_array_equal(taken, expected)


def test_memory_is_shared_and_outlives_the_array(device):
    x = jax.jit(lambda x: x + 1)(jax.device_put(np.arange(1000.0, dtype=np.float32), device))
    taken = np.from_dlpack(x)
    assert taken.ctypes.data == x.unsafe_buffer_pointer()
    x.delete()
    del x
    jax.jit(lambda x: x * 0)(jax.device_put(np.ones(1000, np.float32), device)).block_until_ready()
    np.testing.assert_array_equal(taken, np.arange(1, 1001))


def test_copies_on_request(device):
    x = jax.device_put(np.arange(4.0, dtype=np.float32), device)
    taken = np.from_dlpack(x, copy=True)
    assert taken.ctypes.data != x.unsafe_buffer_pointer()
    np.testing.assert_array_equal(taken, x)


def test_bfloat16_reaches_the_cpu(device, reference):
    x = jax.device_put(jnp.arange(4, dtype=jnp.bfloat16), device)
    taken = jax.dlpack.from_dlpack(x)
    assert taken.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(taken, np.float32), np.arange(4))


def test_device_is_that_of_the_host(device):
    kind, number = jax.device_put(np.ones(2, np.float32), device).__dlpack_device__()
    assert (int(kind), number) == (1, 0)


def test_deleted_arrays_are_refused(device):
    x = jax.device_put(np.ones(2, np.float32), device)
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        x.__dlpack__()


def test_arrays_from_outside_arrive(device):
    y = jax.dlpack.from_dlpack(np.arange(4.0, dtype=np.float32), device=device)
    assert y.devices() == {device}
    np.testing.assert_array_equal(y, np.arange(4))


def test_mlx_takes_and_gives_arrays(device):
    mx = pytest.importorskip("mlx.core")
    x = jax.device_put(np.arange(4.0, dtype=np.float32), device)
    taken = mx.array(np.from_dlpack(x)) * 2
    given = jax.dlpack.from_dlpack(taken, device=device)
    assert given.devices() == {device}
    np.testing.assert_array_equal(given, [0, 2, 4, 6])


ALONE = """
import jax, numpy as np
jax.devices()
y = jax.dlpack.from_dlpack(np.arange(3.0, dtype=np.float32))
print(y.devices().pop().platform, np.from_dlpack(y + 1))
"""


def test_without_a_cpu_platform_arrays_arrive_on_the_device(device, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", device.platform)
    ran = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, f"{device.platform} [1. 2. 3.]\n"), ran.stderr


def test_own_arrays_come_back_to_their_device(device):
    x = jax.device_put(np.arange(4.0, dtype=np.float32), device)
    for copy in (None, False, True):
        y = jax.dlpack.from_dlpack(x, copy=copy)
        assert y.devices() == {device}
        np.testing.assert_array_equal(y, x)
        assert (y.unsafe_buffer_pointer() == x.unsafe_buffer_pointer()) != bool(copy)
    assert jax.dlpack.from_dlpack(x, device=device).devices() == {device}
