"""Donated arguments: dead after the call, and never written while somebody reads them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def put(values, device):
    return jax.device_put(np.asarray(values, np.float32), device)


def test_donated_argument_is_deleted(device):
    x = put([1, 2, 3], device)
    y = jax.jit(lambda v: v + 1, donate_argnums=0)(x)
    assert x.is_deleted()
    np.testing.assert_array_equal(y, [2, 3, 4])


def test_donated_argument_cannot_be_used(device):
    x = put([1, 2, 3], device)
    jax.jit(lambda v: v + 1, donate_argnums=0)(x).block_until_ready()
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(x)
    with pytest.raises(RuntimeError, match="deleted"):
        jax.jit(lambda v: v * 2)(x)


def test_only_the_donated_argument_is_deleted(device):
    x, y = put([1, 2], device), put([3, 4], device)
    z = jax.jit(lambda a, b: a * b, donate_argnums=1)(x, y)
    assert not x.is_deleted()
    assert y.is_deleted()
    np.testing.assert_array_equal(z, [3, 8])
    np.testing.assert_array_equal(x, [1, 2])


def test_host_view_survives_donation(device):
    x = put(np.arange(1000), device)
    view = np.asarray(x)
    jax.jit(lambda v: v * 0 - 1, donate_argnums=0)(x).block_until_ready()
    np.testing.assert_array_equal(view, np.arange(1000))


def test_alias_of_donated_array_survives(device):
    """A result that is its argument shares its memory at most until one of both is donated."""
    x = put(np.arange(100), device)
    y = jax.jit(lambda v: v)(x)
    jax.jit(lambda v: v.at[:].set(-1.0), donate_argnums=0)(x).block_until_ready()
    np.testing.assert_array_equal(y, np.arange(100))


def test_slice_of_donated_array_survives(device):
    x = put(np.arange(100), device)
    part = x[10:20]
    jax.jit(lambda v: v.at[:].set(-1.0), donate_argnums=0)(x).block_until_ready()
    np.testing.assert_array_equal(part, np.arange(10, 20))


def test_pending_reader_of_donated_array(device):
    """Work that reads the array was queued before the donation; it sees the old values."""
    x = put(np.ones((200, 200)), device)
    product = jax.jit(lambda v: (v @ v) @ v)(x)
    jax.jit(lambda v: v * 0, donate_argnums=0)(x)
    np.testing.assert_array_equal(product, np.full((200, 200), 40000.0))


def test_donating_one_array_twice_is_refused(device):
    x = put([1, 2, 3], device)
    with pytest.raises(Exception, match="(?i)donate"):
        jax.block_until_ready(jax.jit(lambda a, b: (a + 1, b + 2), donate_argnums=(0, 1))(x, x))


def test_reading_and_donating_one_array_is_refused(device):
    x = put([1, 2, 3], device)
    with pytest.raises(Exception, match="(?i)donate"):
        jax.block_until_ready(jax.jit(lambda a, b: (a + 1, b + 2), donate_argnums=0)(x, x))


def test_pytree_of_parameters(device):
    state = {"w": put(np.ones((4, 4)), device), "b": put(np.zeros(4), device)}
    step = jax.jit(lambda s: jax.tree.map(lambda v: v - 0.5, s), donate_argnums=0)
    for _ in range(5):
        previous, state = state, step(state)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(previous))
    np.testing.assert_array_equal(state["w"], np.full((4, 4), -1.5))
    np.testing.assert_array_equal(state["b"], np.full(4, -2.5))


def test_donation_without_a_result_of_its_shape(device):
    x = put(np.arange(6).reshape(2, 3), device)
    with pytest.warns(UserWarning, match="donated buffers were not usable"):
        total = jax.jit(jnp.sum, donate_argnums=0)(x)
    assert float(total) == 15


def test_donated_through_a_loop(device):
    x = put(np.zeros(8), device)
    result = jax.jit(
        lambda v: jax.lax.fori_loop(0, 8, lambda i, w: w.at[i].set(i * 1.0), v), donate_argnums=0
    )(x)
    assert x.is_deleted()
    np.testing.assert_array_equal(result, np.arange(8))


def test_donated_array_of_another_device_is_refused(device, reference):
    if device == reference:
        pytest.skip("one device compares with itself")
    x, y = put([1, 2], device), put([3, 4], reference)
    with pytest.raises(ValueError, match="incompatible devices"):
        jax.jit(lambda a, b: a + b, donate_argnums=0)(x, y)
    assert not x.is_deleted()


def test_deletion(device):
    x = put([1, 2, 3], device)
    x.delete()
    assert x.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        jnp.sin(x)
