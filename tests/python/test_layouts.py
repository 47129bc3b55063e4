"""Layouts of arrays: reported as asked for, and without effect on values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.layout import Format, Layout, with_layout_constraint
from jax.sharding import SingleDeviceSharding

# test_plugin.py has the test that nothing goes wrong silently there.
pytestmark = pytest.mark.skipif(
    jax.__version_info__ < (0, 10),
    reason="jaxlib 0.9 asks no plugin for the layouts of arguments, and refuses all but row-major",
)

ORDERS = [
    ((3, 5), (1, 0)),
    ((2, 3, 4), (2, 1, 0)),
    ((2, 3, 4), (0, 2, 1)),
    ((2, 3, 4), (1, 2, 0)),
    ((2, 3, 4), (2, 0, 1)),
    ((2, 1, 3, 2), (3, 0, 2, 1)),
    ((1, 4), (1, 0)),
    ((0, 3), (1, 0)),
    ((3, 0, 2), (0, 2, 1)),
]

DTYPES = [
    "bool",
    "int4",
    "uint4",
    "int8",
    "uint16",
    "int32",
    "uint32",
    "float16",
    "bfloat16",
    "float32",
    "complex64",
]


def _values(shape, dtype="float32"):
    count = int(np.prod(shape))
    flat = np.arange(count) % 2 if dtype == "bool" else np.arange(count) % 8
    return flat.reshape(shape).astype(jnp.dtype(dtype))


def _format(order, device):
    return Format(Layout(major_to_minor=order), SingleDeviceSharding(device))


def _order(array):
    return array.format.layout.major_to_minor


def _row_major(rank):
    return tuple(range(rank))


@pytest.mark.parametrize("shape,order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_device_put_keeps_values_and_layout(shape, order, dtype, device):
    values = _values(shape, dtype)
    array = jax.device_put(values, _format(order, device))
    assert _order(array) == order
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(np.asarray(array), values)
    # An array that is on the device already changes its layout there, and back.
    there = jax.device_put(values, device)
    assert _order(there) == _row_major(len(shape))
    changed = jax.device_put(there, _format(order, device))
    assert _order(changed) == order
    np.testing.assert_array_equal(np.asarray(changed), values)
    back = jax.device_put(changed, _format(_row_major(len(shape)), device))
    assert _order(back) == _row_major(len(shape))
    np.testing.assert_array_equal(np.asarray(back), values)


@pytest.mark.parametrize("shape", [(), (4,), (0,)])
def test_one_dimension_has_one_layout(shape, device):
    values = _values(shape)
    array = jax.device_put(values, _format(_row_major(len(shape)), device))
    assert _order(array) == _row_major(len(shape))
    np.testing.assert_array_equal(np.asarray(array), values)


@pytest.mark.parametrize("shape,order", ORDERS)
def test_programs_take_and_give_layouts(shape, order, device):
    values = _values(shape)
    form = _format(order, device)
    double = jax.jit(lambda x: x * 2, in_shardings=form, out_shardings=form)
    array = jax.device_put(values, form)
    result = double(array)
    assert _order(result) == order
    np.testing.assert_array_equal(np.asarray(result), values * 2)
    compiled = double.lower(array).compile()
    assert compiled.input_formats[0][0].layout.major_to_minor == order
    assert compiled.output_formats.layout.major_to_minor == order
    np.testing.assert_array_equal(np.asarray(compiled(array)), values * 2)
    # Another program takes the array as it is, and gives row-major order.
    back = jax.jit(lambda x: x + 1)(result)
    assert _order(back) == _row_major(len(shape))
    np.testing.assert_array_equal(np.asarray(back), values * 2 + 1)


@pytest.mark.parametrize("shape,order", ORDERS)
def test_layouts_of_input_and_output_differ(shape, order, device):
    values = _values(shape)
    other = order[::-1]
    change = jax.jit(
        lambda x, y: (x + y, x, y),
        in_shardings=(_format(order, device), None),
        out_shardings=(_format(other, device), _format(order, device), None),
    )
    array = jax.device_put(values, _format(order, device))
    total, same, plain = change(array, jnp.asarray(values))
    assert [_order(result) for result in (total, same, plain)] == [
        other,
        order,
        _row_major(len(shape)),
    ]
    np.testing.assert_array_equal(np.asarray(total), values + values)
    np.testing.assert_array_equal(np.asarray(same), values)
    np.testing.assert_array_equal(np.asarray(plain), values)
    # A result that is the argument has memory of its own.
    if values.size:
        assert same.unsafe_buffer_pointer() != array.unsafe_buffer_pointer()


def test_computations_follow_the_layout_of_arguments(device):
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = jax.device_put(values, _format((1, 0), device))
    for function in (
        lambda x: x @ x.T,
        lambda x: x.T,
        lambda x: jnp.cumsum(x, axis=1),
        lambda x: x.reshape(-1),
        lambda x: jnp.sort(x, axis=0)[::-1],
        lambda x: jnp.where(x.sum() > 0, x, -x),
        lambda x: jax.lax.fori_loop(0, 3, lambda _, y: y + x, x),
    ):
        expected = jax.jit(function)(jax.device_put(values, device))
        result = jax.jit(function)(array)
        assert _order(result) == _row_major(result.ndim)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))
        np.testing.assert_array_equal(np.asarray(function(array)), np.asarray(expected))


def test_chosen_layouts_are_those_that_are_reported(device):
    automatic = Format(Layout.AUTO, SingleDeviceSharding(device))
    values = _values((3, 4))
    shape = jax.ShapeDtypeStruct(values.shape, values.dtype)
    program = jax.jit(lambda x: x.T, in_shardings=automatic, out_shardings=automatic)
    compiled = program.lower(shape).compile()
    argument = jax.device_put(values, compiled.input_formats[0][0])
    result = compiled(argument)
    assert result.format == compiled.output_formats
    np.testing.assert_array_equal(np.asarray(result), values.T)


def test_mismatch_is_an_error_that_names_both(device):
    values = _values((3, 4))
    take = jax.jit(lambda x: x, in_shardings=_format((1, 0), device))
    plain = jax.device_put(values, device)
    with pytest.raises(ValueError, match="[Ll]ayout"):
        take.lower(jax.ShapeDtypeStruct((3, 4), jnp.float32)).compile()(plain)


@pytest.mark.parametrize("out", [(1, 0), (0, 1)])
def test_donated_arguments_are_gone(out, device):
    values = _values((4, 4))
    into, out_of = _format((1, 0), device), _format(out, device)
    add = jax.jit(
        lambda x: x + 1, in_shardings=into, out_shardings=out_of, donate_argnums=0
    )
    array = jax.device_put(values, into)
    result = add(array)
    assert array.is_deleted()
    assert _order(result) == out
    np.testing.assert_array_equal(np.asarray(result), values + 1)


def test_copies_keep_the_layout(device):
    values = _values((2, 3, 4))
    array = jax.device_put(values, _format((2, 0, 1), device))
    copy = jax.device_put(array, SingleDeviceSharding(device, memory_kind="pinned_host"))
    assert copy.sharding.memory_kind == "pinned_host"
    np.testing.assert_array_equal(np.asarray(copy), values)
    np.testing.assert_array_equal(np.asarray(jnp.copy(array)), values)
    np.testing.assert_array_equal(np.asarray(array[1]), values[1])


def test_arrays_go_to_another_platform(device, reference):
    values = _values((2, 3, 4))
    array = jax.device_put(values, _format((2, 0, 1), device))
    there = jax.device_put(array, reference)
    np.testing.assert_array_equal(np.asarray(there), values)
    # JAX changes platform and layout one after the other.
    back = jax.device_put(jax.device_put(there, device), _format((1, 2, 0), device))
    assert _order(back) == (1, 2, 0)
    np.testing.assert_array_equal(np.asarray(back), values)


def test_constraints_inside_programs_change_no_values(device):
    values = _values((3, 4))

    @jax.jit
    def constrained(x):
        return with_layout_constraint(x.T, Layout(major_to_minor=(1, 0))) * 2

    result = constrained(jax.device_put(values, device))
    np.testing.assert_array_equal(np.asarray(result), values.T * 2)


def test_tiles_are_refused(device):
    tiled = Format(
        Layout(major_to_minor=(0, 1), tiling=((8, 128),)), SingleDeviceSharding(device)
    )
    with pytest.raises(Exception, match="UNIMPLEMENTED|not supported"):
        jax.device_put(np.ones((8, 128), np.float32), tiled).block_until_ready()


def test_gradients_through_layouts(device):
    values = _values((3, 4))
    form = _format((1, 0), device)
    gradient = jax.jit(
        jax.grad(lambda x: (x**3).sum()), in_shardings=form, out_shardings=form
    )
    result = gradient(jax.device_put(values, form))
    assert _order(result) == (1, 0)
    np.testing.assert_allclose(np.asarray(result), 3 * values**2, rtol=1e-6)
