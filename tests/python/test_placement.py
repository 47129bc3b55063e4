"""Where programs run: what costs less, or what JAX_MPS_PLACE says; the choice and its reason stand in the dump."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture
def place(monkeypatch, device):
    """Says where programs run from here on."""
    if device.platform != "mps":
        pytest.skip("XLA:CPU has no choice")

    def place(where):
        monkeypatch.setenv("JAX_MPS_PLACE", where)

    place("auto")
    with jax.default_device(device):
        yield place


@pytest.fixture
def note(place, monkeypatch, tmp_path):
    """Compiles a function for arguments; what the dump says of the choice."""

    def note(function, *arguments):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        monkeypatch.setenv("JAX_MPS_DUMP", str(folder))
        # Another function each time: JAX would find the one before.
        jax.jit(lambda *arguments: function(*arguments)).lower(*arguments).compile()
        monkeypatch.delenv("JAX_MPS_DUMP")
        (plan,) = folder.glob("*.plan.txt")
        return plan.read_text()

    return note


def chain(x):
    return jnp.tanh(x * 2 + 1)


def called_back(x):
    return jax.pure_callback(np.negative, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def test_small_programs_are_native_and_large_products_are_not(note):
    assert note(chain, jnp.ones(1000)).startswith("// native: ")
    large = jnp.ones((512, 512))
    text = note(jnp.matmul, large, large)
    assert text.startswith("// mlx: ") and "us through mlx" in text and "stablehlo.dot_general" in text


def test_what_is_forced_is_said(note, place):
    place("device")
    text = note(chain, jnp.ones(10))
    assert text.startswith("// mlx: the device is forced\n") and "stablehlo.tanh" in text
    place("host")
    text = note(jnp.matmul, jnp.ones((300, 300)), jnp.ones((300, 300)))
    assert text.startswith("// native: ") and "the host is forced" in text.splitlines()[0]


@pytest.mark.parametrize("where", ["auto", "host"])
def test_what_kernels_do_not_hold_stays_with_mlx(note, place, where):
    place(where)
    x = jnp.arange(8, dtype=jnp.float32)
    text = note(called_back, x)
    assert text.startswith("// mlx: ") and "side effects" in text.splitlines()[0]
    np.testing.assert_array_equal(jax.jit(called_back)(x), -np.arange(8))


def test_loops_say_where_they_run(note, place):
    def loop(x):
        # What kernels do not hold follows, so that the program is several steps.
        return called_back(jax.lax.fori_loop(0, 5, lambda _, x: x * 2, x))

    def reason(text):
        lines = text.splitlines()
        (at,) = (index for index, line in enumerate(lines) if "stablehlo.while" in line)
        return lines[at + 1].strip()

    x = jnp.ones(8)
    assert reason(note(loop, x)).startswith("// native: ")
    place("device")
    assert reason(note(loop, x)) == "// mlx: the device is forced"


def test_small_programs_are_done_when_their_call_returns(place):
    x = jax.block_until_ready(jnp.arange(1000, dtype=jnp.float32))
    function = jax.jit(chain)
    for _ in range(20):
        y = function(x)
        assert y.is_ready()
    np.testing.assert_allclose(y, np.tanh(np.arange(1000) * 2 + 1), rtol=1e-5)


def test_arguments_that_are_being_computed_are_waited_for_elsewhere(place):
    matrix = jax.block_until_ready(jnp.full((600, 600), 1 / 600))

    @jax.jit
    def products(x):
        for _ in range(30):
            x = matrix @ x
        return x

    function = jax.jit(lambda x: x[:5, :5] + 1)
    jax.block_until_ready(function(products(matrix)))
    for _ in range(3):
        x = products(matrix)
        y = function(x)
        # It has not waited for the products.
        assert not x.is_ready()
        np.testing.assert_allclose(y, np.full((5, 5), 1 + 1 / 600), rtol=1e-4)


def test_donated_arguments_are_gone(place):
    step = jax.jit(lambda x, y: (x + y, y), donate_argnums=0)
    x, y = jax.block_until_ready((jnp.zeros(100), jnp.ones(100)))
    for _ in range(3):
        before = x
        x, same = step(x, y)
        assert before.is_deleted() and not y.is_deleted()
        assert same.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()
    np.testing.assert_array_equal(x, np.full(100, 3))
    with pytest.raises((RuntimeError, ValueError), match="deleted"):
        step(before, y)


def test_arguments_that_failed_fail_what_uses_them(place):
    def fail(x):
        raise ValueError("chosen to fail")

    function = jax.jit(lambda x: x + 1)
    with pytest.raises(jax.errors.JaxRuntimeError, match="chosen to fail"):
        bad = jax.jit(lambda x: jax.pure_callback(fail, jax.ShapeDtypeStruct(x.shape, x.dtype), x))(jnp.ones(40))
        jax.block_until_ready(function(bad))
    np.testing.assert_array_equal(function(jnp.ones(40)), np.full(40, 2))


def turns(x, count):
    """So many turns of a loop whose end only its state tells."""
    return jax.lax.while_loop(lambda state: state[0] < count, lambda state: (state[0] + 1, state[1] + 1), (0, x))[1]


def test_short_loops_of_unknown_length_end_in_their_call(place):
    function = jax.jit(turns)
    x, count = jax.block_until_ready((jnp.zeros(4), jnp.int32(50)))
    for _ in range(20):
        y = function(x, count)
        assert y.is_ready()
    np.testing.assert_array_equal(y, np.full(4, 50))


def test_long_loops_keep_no_caller_waiting(place):
    function = jax.jit(turns)
    x, short, long = jax.block_until_ready((jnp.zeros(4), jnp.int32(3), jnp.int32(50_000_000)))
    jax.block_until_ready(function(x, short))
    began = time.perf_counter()
    y = function(x, long)
    called = time.perf_counter() - began
    assert not y.is_ready()
    jax.block_until_ready(y)
    assert called < (time.perf_counter() - began) / 2
    # f32 counts no further by ones.
    np.testing.assert_array_equal(y, np.full(4, 2.0**24))
    # Those that follow begin elsewhere, and then in their call again.
    for _ in range(40):
        np.testing.assert_array_equal(function(x, short), np.full(4, 3))
    y = function(x, short)
    assert y.is_ready()


def test_long_chains_of_operations_compile(place):
    def long(x):
        for index in range(3000):
            x = x * 0.5 + (index % 7)
        return x

    def run(device):
        x = jax.device_put(np.linspace(-1, 1, 7, dtype=np.float32), device)
        return np.asarray(jax.jit(long)(x))

    expected = np.linspace(-1, 1, 7, dtype=np.float32)
    for index in range(3000):
        expected = (expected * np.float32(0.5) + np.float32(index % 7)).astype(np.float32)
    np.testing.assert_allclose(run(jax.devices("mps")[0]), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "float16", "bfloat16", "complex64", "int4", "float8_e4m3fn"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 40)])
def test_values_go_through_as_they_are(place, dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 7
    x = jnp.asarray(values).astype(dtype)
    jax.block_until_ready(x)
    same, doubled, turned = jax.jit(lambda x: (x, jnp.stack([x, x]), x.T))(x)
    for result, expected in [(same, values), (doubled, np.stack([values, values])), (turned, values.T)]:
        np.testing.assert_array_equal(np.asarray(result).astype(complex), expected.astype(dtype).astype(complex))
