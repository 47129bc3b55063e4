"""Callbacks from a running program into Python: values, order, errors, and programs inside callbacks."""

import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.experimental import checkify, io_callback

DTYPES = [
    np.bool_, np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32, np.float16, np.float32, np.complex64,
    ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


@pytest.fixture(autouse=True)
def on_device(device):
    with jax.default_device(device):
        yield


def _same(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)], ids=str)
def test_values_of_every_type_pass_both_ways(dtype, shape):
    values = np.random.default_rng(0).integers(-8, 8, shape) if np.dtype(dtype).kind != "b" else np.ones(shape)
    x = np.abs(values).astype(dtype) if np.dtype(dtype).name.startswith("u") else values.astype(dtype)
    seen = []

    def callback(y):
        seen.append(np.asarray(y))
        return np.asarray(y)

    y = jax.jit(lambda x: jax.pure_callback(callback, _same(x), x))(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(y), x)
    if x.size:  # A result without elements needs no call.
        assert seen[0].dtype == x.dtype
        np.testing.assert_array_equal(seen[0], x)


def test_strided_and_reversed_operands_arrive_in_order():
    x = np.arange(24, dtype=np.float32).reshape(4, 6)

    @jax.jit
    def f(x):
        operands = (x.T, x[::-1], x[:, 1:3], jnp.broadcast_to(x[0], (3, 6)))
        return jax.pure_callback(lambda *xs: [np.asarray(x) for x in xs], [_same(o) for o in operands], *operands)

    for got, expected in zip(f(x), (x.T, x[::-1], x[:, 1:3], np.broadcast_to(x[0], (3, 6)))):
        np.testing.assert_array_equal(got, expected)


def test_ordered_callbacks_of_loops_keep_their_order():
    log = []

    @jax.jit
    def f(n):
        def body(i, total):
            io_callback(lambda i: log.append(("fori", int(i))), None, i, ordered=True)
            return total + i

        def more(state):
            return state[0] < 3

        def step(state):
            io_callback(lambda i: log.append(("while", int(i))), None, state[0], ordered=True)
            return state[0] + 1, state[1] * 2

        def scanned(carry, x):
            value = io_callback(lambda x: np.int32(x + 1), jax.ShapeDtypeStruct((), np.int32), x, ordered=True)
            return carry + value, value

        total = jax.lax.fori_loop(0, n, body, 0)
        _, doubled = jax.lax.while_loop(more, step, (0, 1))
        return total, doubled, jax.lax.scan(scanned, 0, jnp.arange(4))

    total, doubled, (carry, values) = f(3)
    jax.effects_barrier()
    assert (int(total), int(doubled), int(carry)) == (3, 8, 10)
    np.testing.assert_array_equal(values, [1, 2, 3, 4])
    assert log == [("fori", 0), ("fori", 1), ("fori", 2), ("while", 0), ("while", 1), ("while", 2)]


def test_only_the_branch_taken_calls_back():
    log = []
    f = jax.jit(
        lambda x: jax.lax.cond(
            x > 0,
            lambda x: (jax.debug.callback(lambda: log.append("positive")), x)[1],
            lambda x: (jax.debug.callback(lambda: log.append("other")), -x)[1],
            x,
        )
    )
    assert [int(f(2)), int(f(-3))] == [2, 3]
    jax.effects_barrier()
    assert log == ["positive", "other"]


def test_debug_print_prints(capfd):
    @jax.jit
    def f(x):
        jax.debug.print("x = {x}, y = {y}", x=x, y=x * 2)
        return x

    f(jnp.arange(3))
    jax.effects_barrier()
    assert "x = [0 1 2], y = [0 2 4]" in capfd.readouterr().out


def test_callback_in_custom_gradient_and_vmap():
    @jax.custom_jvp
    def sine(x):
        return jax.pure_callback(np.sin, _same(x), x, vmap_method="expand_dims")

    @sine.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return sine(x), t * jax.pure_callback(np.cos, _same(x), x, vmap_method="expand_dims")

    x = jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(jax.jit(jax.vmap(sine))(x), np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(sine)))(x), np.cos(x), rtol=1e-6)


class Chosen(Exception):
    """An exception that nothing else raises."""


@pytest.mark.parametrize("kind", ["pure", "io", "ordered", "debug"])
def test_exception_reaches_the_caller_and_the_device_lives_on(kind):
    def fail(x):
        raise Chosen("chosen to fail")

    def f(x):
        if kind == "pure":
            return jax.pure_callback(fail, _same(x), x)
        if kind == "debug":
            jax.debug.callback(fail, x)
            return x
        return io_callback(fail, _same(x), x, ordered=kind == "ordered")

    f = jax.jit(f)
    for _ in range(2):
        with pytest.raises(jax.errors.JaxRuntimeError, match="chosen to fail"):
            jax.block_until_ready(f(jnp.ones(2)))
            jax.effects_barrier()
    np.testing.assert_array_equal(jax.jit(lambda x: x + 1)(jnp.ones(2)), [2, 2])


CAUGHT = """
import sys
import jax, jax.numpy as jnp
from jax.experimental import io_callback

def fail(x): raise ValueError("chosen to fail")
def f(x):
    kind = sys.argv[1]
    if kind == "pure": return jax.pure_callback(fail, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
    if kind == "debug": return (jax.debug.callback(fail, x), x)[1]
    if kind == "several": return (jax.debug.callback(fail, x), io_callback(fail, None, x, ordered=True), x)[2]
    return io_callback(fail, jax.ShapeDtypeStruct(x.shape, x.dtype), x, ordered=kind == "ordered")

for compiled in (jax.jit(f), jax.jit(f).lower(jnp.ones(2)).compile()):
    for _ in range(2):
        try:
            compiled(jnp.ones(2)).block_until_ready()
            print("no error")
        except jax.errors.JaxRuntimeError as error:
            print("chosen to fail" in str(error))
    for _ in range(2):
        jax.effects_barrier()
    print(jax.jit(lambda x: x + 1)(jnp.ones(2)))
seen = []
g = jax.jit(lambda x: (io_callback(seen.append, None, x, ordered=True), jax.debug.callback(seen.append, x), x)[2])
g(1.0)
jax.effects_barrier()
print(len(seen))
"""


@pytest.mark.parametrize("kind", ["pure", "io", "ordered", "debug", "several"])
def test_an_error_that_was_caught_does_not_come_back(kind, device):
    """jaxlib keeps the token of a program with effects, and its error: what fails has to fail at the call, as on XLA:CPU."""
    command = [sys.executable, "-c", CAUGHT, kind]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.stdout == 2 * "True\nTrue\n[2. 2.]\n" + "2\n", result.stderr
    assert "Exception ignored" not in result.stderr


def test_results_of_a_failed_callback_fail_whoever_uses_them():
    def fail(x):
        raise Chosen("chosen to fail")

    with pytest.raises(jax.errors.JaxRuntimeError, match="chosen to fail"):
        bad = jax.jit(lambda x: jax.pure_callback(fail, _same(x), x))(jnp.ones(2))
        jax.jit(lambda x: x * 2)(bad).block_until_ready()


def test_callbacks_run_programs_themselves():
    inner = jax.jit(lambda x: jax.lax.while_loop(lambda v: jnp.sum(v) < 100, lambda v: v * 2, x))

    def callback(x):
        return np.asarray(jax.jit(lambda x: jax.pure_callback(np.negative, _same(x), x))(inner(jnp.asarray(x))))

    y = jax.jit(lambda x: jax.pure_callback(callback, _same(x), x) + x)(jnp.ones(3))
    np.testing.assert_array_equal(y, 3 * [-63.0])


def test_callbacks_of_many_threads_reach_their_own_programs():
    f = jax.jit(lambda x: jax.pure_callback(lambda x: np.asarray(x) + 1, _same(x), x))
    f(np.zeros(2, np.float32))
    wrong = []

    def work(number):
        x = np.full(2, number, np.float32)
        wrong.extend(number for _ in range(20) if not np.array_equal(f(x), x + 1))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_checkify_finds_what_happens_at_run_time():
    @jax.jit
    def f(x, i):
        checkify.check(jnp.all(x > 0), "x must be positive, was {x}", x=x)
        return x[i]

    error, _ = checkify.checkify(f, errors=checkify.all_checks)(jnp.array([1.0, -1.0]), 0)
    with pytest.raises(checkify.JaxRuntimeError, match="x must be positive"):
        error.throw()
    error, _ = checkify.checkify(f, errors=checkify.index_checks)(jnp.ones(2), 5)
    with pytest.raises(checkify.JaxRuntimeError, match="out-of-bounds"):
        error.throw()
