"""Arrays on their way between host and device, in every memory layout (src/pjrt/transfer)."""

import gc
import os
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ops.harness import ALL, BOOL, INT4, INTEGERS64, full_range, is_inexact, normal, precision_of

DTYPES = [*ALL, *INT4, *INTEGERS64, "float64"]

LAYOUTS = {
    "row_major": lambda x: x,
    "column_major": np.asfortranarray,
    "transposed": lambda x: x.transpose(2, 0, 1),
    "every_second": lambda x: x[::2, :, 1::2],
    "reversed": lambda x: x[::-1, :, ::-1],
    "broadcast": lambda x: np.broadcast_to(x[:1], (3, *x.shape[1:])),
    "one_row": lambda x: x[1],
    "column": lambda x: x[:, 2, 3],
    "scalar": lambda x: x[0, 1, 2],
    "empty": lambda x: x[:0],
    "empty_inside": lambda x: x[:, :0],
    "offset": lambda x: x.reshape(-1)[3:],
}


def numbers(dtype, *shape):
    dtype = np.dtype(dtype)
    make = normal if is_inexact(dtype) else full_range
    return make(*shape)(np.random.default_rng(3), dtype)


def same(got, want):
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(device, dtype, layout):
    with precision_of(np.dtype(dtype)):
        source = np.asarray(LAYOUTS[layout](numbers(dtype, 4, 5, 6)))
        placed = jax.device_put(source, device)
        assert placed.devices() == {device}
        assert placed.dtype == source.dtype
        same(np.asarray(placed), source)


@pytest.mark.parametrize("dtype", DTYPES)
def test_computed_in_another_layout(device, dtype):
    """A result whose strides are not those of a row-major array is read back in order."""
    with precision_of(np.dtype(dtype)):
        source = numbers(dtype, 4, 5, 6)
        placed = jax.device_put(source, device)
        same(np.asarray(jnp.transpose(placed, (2, 0, 1))), source.transpose(2, 0, 1))
        same(np.asarray(jax.lax.rev(placed, (0, 2))), source[::-1, :, ::-1])
        same(np.asarray(jnp.broadcast_to(placed[0], (3, 5, 6))), np.broadcast_to(source[0], (3, 5, 6)))
        same(np.asarray(placed[1:3, ::2]), source[1:3, ::2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_between_devices(device, reference, dtype):
    with precision_of(np.dtype(dtype)):
        source = numbers(dtype, 3, 7)
        there = jax.device_put(jax.device_put(source, reference), device)
        back = jax.device_put(there, reference)
        assert there.devices() == {device}
        assert back.devices() == {reference}
        same(np.asarray(there), source)
        same(np.asarray(back), source)


@pytest.mark.parametrize("dtype", BOOL + INT4 + ("int8",))
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 255, 1025])
def test_narrow_elements(device, dtype, size):
    """Elements narrower than a byte, or whose bytes MLX stores in its own way."""
    source = numbers(dtype, size)
    same(np.asarray(jax.device_put(source, device)), source)


def test_special_bit_patterns(device):
    """NaN payloads, infinities and denormal numbers keep their bits."""
    bits = np.array([0, 0x80000000, 0x7F800001, 0x7FC00000, 0xFFC12345, 1, 0x007FFFFF, 0xFF800000],
                    np.uint32)  # fmt: skip
    placed = jax.device_put(bits.view(np.float32), device)
    same(np.asarray(placed).view(np.uint32), bits)


def test_copy_is_independent_of_its_source(device):
    source = np.arange(1000, dtype=np.float32)
    with jax.default_device(device):
        placed = jnp.array(source, copy=True)
    source[:] = -1
    same(np.asarray(placed), np.arange(1000, dtype=np.float32))


def test_host_view_outlives_the_array(device):
    placed = jax.device_put(np.arange(5000, dtype=np.int32), device) + 1
    view = np.asarray(placed)
    del placed
    gc.collect()
    for _ in range(20):
        jax.device_put(np.zeros(5000, np.int32), device).block_until_ready()
    same(view, np.arange(1, 5001, dtype=np.int32))


def test_host_view_is_read_only(device):
    view = np.asarray(jax.device_put(np.ones(3, np.float32), device))
    assert not view.flags.writeable


def test_megabytes(device):
    source = numbers("float32", 1000, 1003)
    placed = jax.device_put(source, device)
    same(np.asarray(placed), source)
    same(np.asarray(placed.T), source.T)


def test_asynchronous_copy_to_host(device):
    placed = jax.device_put(np.arange(64, dtype=np.float32), device) * 2
    placed.copy_to_host_async()
    same(np.asarray(placed), np.arange(64, dtype=np.float32) * 2)


def test_scalars_of_python(device):
    with jax.default_device(device):
        assert int(jnp.asarray(7)) == 7
        assert float(jnp.asarray(2.5)) == 2.5
        assert bool(jnp.asarray(True)) is True
        assert complex(jnp.asarray(1 + 2j)) == 1 + 2j
        assert jnp.asarray(3).item() == 3
        assert jnp.arange(4).tolist() == [0, 1, 2, 3]


def test_many_small_arrays(device):
    placed = jax.device_put([np.float32(i) for i in range(500)], device)
    assert [float(x) for x in placed] == list(range(500))


def test_transfers_from_many_threads(device):
    """Host threads put, compute and read at the same time."""
    failures = []

    def work(seed):
        try:
            source = np.random.default_rng(seed).standard_normal((16, 16)).astype(np.float32)
            for _ in range(10):
                placed = jax.device_put(source, device)
                same(np.asarray(placed + placed), source + source)
        except BaseException as error:  # noqa: BLE001  handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_buffers_have_their_own_memory(device):
    arrays = [jax.device_put(np.full(3, i, np.float32), device) for i in range(4)]
    pointers = {array.unsafe_buffer_pointer() for array in arrays}
    assert len(pointers) == len(arrays)


def test_size_on_device_and_memory_kind(device):
    array = jax.device_put(np.zeros((3, 5), np.float32), device)
    assert array.on_device_size_in_bytes() >= 60
    assert array.sharding.memory_kind in {memory.kind for memory in device.addressable_memories()}
    assert device.default_memory().kind == array.sharding.memory_kind


def test_device_describes_itself(device):
    assert device.platform == os.environ["JAX_MPS_TEST_PLATFORM"]
    assert device.device_kind
    assert str(device.id) in str(device)
    assert device.client.platform == device.platform
