"""Behaviours of MLX that differ from XLA, crash, or are silently wrong: one test for each.

Every docstring names what MLX does (issue numbers are those of github ml-explore/mlx).
"""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from jax import lax

from ops.harness import (
    INTEGERS,
    INTEGERS64,
    Case,
    Run,
    check_value,
    fixed,
    full_range,
    limits,
    normal,
    special_pairs,
    specials,
    uniform,
)


def compare(function, *arguments, dtype="float32", **options):
    """The function agrees with XLA:CPU, compiled and eagerly."""
    check_value(Run(Case("trap", function, arguments, **options), np.dtype(dtype)))


@pytest.mark.parametrize("dtype", INTEGERS + INTEGERS64)
def test_integer_division_by_zero(dtype):
    """MLX <= 0.32.2 dies of SIGFPE on x / 0, later versions give 0 (PR 4442); XLA gives all ones."""
    compare(lambda x: lax.div(x, jnp.zeros_like(x)), specials(), dtype=dtype)


@pytest.mark.parametrize("dtype", INTEGERS + INTEGERS64)
def test_integer_remainder_by_zero(dtype):
    """MLX <= 0.32.2 dies of SIGFPE on x % 0 (PR 4442); XLA gives x."""
    compare(lambda x: lax.rem(x, jnp.zeros_like(x)), specials(), dtype=dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_smallest_integer_by_minus_one(dtype):
    """INT_MIN / -1 and INT_MIN % -1 die of SIGFPE in MLX 0.32.4 too."""
    smallest = limits(np.dtype(dtype))[0]
    compare(lambda x: (lax.div(x, -jnp.ones_like(x)), lax.rem(x, -jnp.ones_like(x))),
            fixed([smallest, smallest + 1, 5]), dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_division_truncates(dtype):
    """MLX's floor_divide floors since 0.32.4 (PRs 4346, 4515): -7 // 2 is -4, XLA's is -3."""
    compare(lax.div, fixed([-7, 7, -7, 7, -1]), fixed([2, -2, -2, 2, 3]), dtype=dtype)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float32", "bfloat16", "float16"])
def test_remainder_has_the_sign_of_the_dividend(dtype):
    """MLX's remainder has the sign of the divisor, as in Python."""
    compare(lax.rem, fixed([-7, 7, -7, 7, -6, 6]), fixed([3, -3, -3, 3, 3, -3]), dtype=dtype,
            signed_zeros=True)  # fmt: skip


def test_remainder_of_a_big_quotient():
    """x - trunc(x / y) * y loses all digits when the quotient is big."""
    compare(lax.rem, fixed([1e10, -1e10, 3e38, 16777216.0]), fixed([3.0, 7.0, 1.1, 0.3]))


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "erf", "erf_inv", "logistic"])
def test_float64_is_not_computed_in_float32(name):
    """MLX's float64 exp, sin, cos, erf, erfinv, sigmoid have 7 digits (issue 3047)."""
    compare(getattr(lax, name), uniform(-0.9, 0.9, 64), dtype="float64")


def test_float64_softmax():
    """MLX's softmax goes through the same float32 exp (issue 3047)."""
    compare(lambda x: jax.nn.softmax(x, axis=1), normal(3, 9), dtype="float64")


def test_float64_exp_beyond_float32():
    """MLX's float64 exp(89) is infinite, float32's range."""
    compare(lax.exp, fixed([88.0, 89.0, 200.0, 700.0, -200.0, -700.0]), dtype="float64")


def test_float64_sin_of_many_periods():
    """The half-angle form loses digits far from zero unless the argument is reduced."""
    compare(lambda x: (lax.sin(x), lax.cos(x)), uniform(-1000, 1000, 64), dtype="float64",
            accumulates=True)  # fmt: skip


def test_erf_near_zero():
    """MLX's float32 erf has an absolute error of 1e-7: 12,000 ulp near zero."""
    compare(lax.erf, fixed(np.geomspace(1e-30, 0.5, 60)))


def test_sign_of_nan_and_of_zeros():
    """MLX's sign gives 0 for NaN and +0 for -0; XLA gives NaN and -0."""
    compare(lax.sign, fixed([np.nan, -0.0, 0.0, -np.inf, 3.0]), signed_zeros=True)


@pytest.mark.parametrize("dtype", INTEGERS + INTEGERS64)
def test_shifts_beyond_the_width(dtype):
    """The processor takes the amount modulo the width: MLX's 1 << 40 is 256 on x86."""
    width = np.dtype(dtype).itemsize * 8
    amounts = fixed(np.repeat([width - 1, width, width + 1, 100], 3))
    values = fixed(np.tile([1, 3, limits(np.dtype(dtype))[0]], 4))
    for shift in (lax.shift_left, lax.shift_right_arithmetic, lax.shift_right_logical):
        compare(shift, values, amounts, dtype=dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("source", ["float32", "bfloat16", "float16"])
def test_float_to_integer_saturates(source, dtype):
    """A C++ cast of NaN, infinities and big numbers gives INT_MIN; XLA gives 0 and the limits."""
    compare(lambda x: lax.convert_element_type(x, dtype), specials(), dtype=source)


def test_cholesky_of_an_indefinite_matrix():
    """MLX returns garbage without an error; XLA fills the matrix with NaN."""
    compare(lax.linalg.cholesky, fixed([[[1.0, 2.0], [2.0, 1.0]], [[2.0, 1.0], [1.0, 2.0]]]))


def test_gather_out_of_bounds():
    """MLX checks no bounds and wraps negative indices; XLA clamps, JAX fills."""
    indices = fixed([[-1], [-100], [3], [4], [10**9], [-(2**31)]], "int32")
    numbers = lax.GatherDimensionNumbers((1,), (0,), (0,))
    for mode in ("clip", "fill"):
        compare(lambda x, i, mode=mode: lax.gather(x, i, numbers, (1, 3), mode=mode), normal(4, 3), indices)


def test_scatter_out_of_bounds():
    """MLX writes wherever the index points to; XLA drops the update."""
    indices = fixed([[-1], [-100], [3], [4], [10**9], [-(2**31)]], "int32")
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    compare(lambda x, i, u: lax.scatter_add(x, i, u, numbers, mode="drop"), normal(4), indices, normal(6))


def test_scatter_of_a_window_that_sticks_out():
    """XLA drops the whole update when one element of its window is out of bounds."""
    numbers = lax.ScatterDimensionNumbers((1,), (), (0,))
    compare(lambda x, i, u: lax.scatter_add(x, i, u, numbers, mode="drop"),
            normal(5), fixed([[3], [4], [-1], [0]], "int32"), normal(4, 2))  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64"])
def test_scatter_of_eight_bytes(dtype):
    """MLX refuses 8-byte scatters on GPUs and will not add them (issues 4300, 3690)."""
    compare(lambda x, i, u: x.at[i].add(u), normal(5), fixed([0, 3, 3], "int32"), normal(3), dtype=dtype)
    compare(lambda x, i, u: x.at[i].set(u), normal(5), fixed([0, 3, 2], "int32"), normal(3), dtype=dtype)


def test_gather_of_many_index_arrays():
    """MLX's Metal gather takes a limited number of index arrays."""
    compare(lambda x, i: x[i, i, i, i, i, i, i, i], normal(*(2,) * 8), fixed([0, 1, 1], "int32"))


def test_integer_powers_of_negative_exponents():
    """MLX's integer power gives 0 for negative exponents, of 1 and -1 too."""
    compare(lambda x: lax.integer_pow(x, 5), full_range(9), dtype="int32")
    compare(jnp.power, fixed([1, -1, -1, 2, 0]), fixed([3, 3, 2, 5, 0]), dtype="int32")


def test_mlx_errors_do_not_end_the_process(device):
    """mlx-c's default error handler prints and calls exit(-1)."""
    with pytest.raises(jax.errors.JaxRuntimeError):
        with jax.default_device(device):
            jax.block_until_ready(jax.jit(lambda: lax.broadcasted_iota(np.int8, (2**22, 2**23), 0) + 1)())
    assert float(jax.device_put(np.float32(2), device) + 1) == 3


def test_arrays_of_one_thread_in_another(device):
    """MLX's streams belong to threads: 'There is no Stream in current thread' (3727, 4506)."""
    results = {}

    def make():
        x = jax.device_put(np.arange(8, dtype=np.float32), device)
        results["lazy"] = jax.jit(lambda v: jnp.sin(v) * 2)(x)

    def use():
        results["used"] = np.asarray(jax.jit(lambda v: v + 1)(results["lazy"]))

    for work in (make, use):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    np.testing.assert_allclose(results["used"], np.sin(np.arange(8)) * 2 + 1, rtol=1e-5, atol=1e-5)


def test_threads_that_end_leave_no_threads(device):
    """Each thread that evaluates leaves a worker thread of its MLX stream behind."""
    function = jax.jit(lambda v: v * 2)
    x = jax.device_put(np.ones(4, np.float32), device)
    function(x).block_until_ready()
    before = psutil.Process().num_threads()
    for _ in range(40):
        thread = threading.Thread(target=lambda: function(x).block_until_ready())
        thread.start()
        thread.join()
    assert psutil.Process().num_threads() < before + 20


def test_compiled_programs_from_eight_threads(device):
    """Evaluation from several threads needs one stream under a lock, or one executor thread."""
    x = jax.device_put(np.eye(16, dtype=np.float32), device)
    function = jax.jit(lambda v: (v @ v).sum(axis=0) * 3)
    wrong = []

    def work():
        for _ in range(25):
            if not np.array_equal(np.asarray(function(x)), np.full(16, 3, np.float32)):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_maximum_and_minimum_propagate_nan():
    """XLA's maximum and minimum give NaN when one operand is NaN, in any order."""
    compare(lambda x, y: (lax.max(x, y), lax.min(x, y)), *special_pairs(), signed_zeros=False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_long_sums_of_halves(dtype):
    """A sum that is rounded after each addition stops growing: 1 + ... + 1 stays at 256."""
    compare(lambda x: jnp.sum(x, axis=0), fixed(np.ones(4096)), dtype=dtype, accumulates=True)


def test_matmul_is_exact_for_integers():
    """MLX's matmul is floating point only: products over 2**24 need another path than float32."""
    compare(lambda x, y: x @ y, fixed([[2**25 + 1, 3]]), fixed([[1], [2**20 + 1]]), dtype="int32")


def test_transposed_and_strided_views_are_read_in_order(device):
    """Transposes are views in MLX; their buffers are not row major."""
    x = jax.device_put(np.arange(12, dtype=np.float32).reshape(3, 4), device)
    np.testing.assert_array_equal(np.asarray(x.T), np.arange(12).reshape(3, 4).T)
    np.testing.assert_array_equal(np.asarray(x[:, ::-2]), np.arange(12).reshape(3, 4)[:, ::-2])


def test_scalar_broadcast_is_materialised(device):
    """A broadcast is a view of stride 0 in MLX; writing into a part must not write the rest."""
    with jax.default_device(device):
        x = jnp.zeros((4, 4))
        y = x.at[1, 2].set(5.0)
    np.testing.assert_array_equal(np.asarray(x), np.zeros((4, 4)))
    assert float(y.sum()) == 5.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_round_half_to_even_and_away(dtype):
    """MLX rounds half to even; round_nearest_afz has to be composed."""
    values = fixed([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, -0.0, 8388609.0])
    for method in (lax.RoundingMethod.TO_NEAREST_EVEN, lax.RoundingMethod.AWAY_FROM_ZERO):
        compare(lambda x, method=method: lax.round(x, method), values, dtype=dtype, signed_zeros=True)


@pytest.mark.parametrize("size", [3, 5, 7, 11, 13, 31, 97, 127])
def test_fft_of_prime_sizes(size):
    """Radix and Bluestein paths are chosen by size on Metal."""
    compare(lambda x: jnp.fft.fft(x), normal(size), dtype="complex64", accumulates=True)


def test_triangular_solve_is_not_the_inverse():
    """MLX's solve_triangular multiplies by the inverse, which loses digits."""
    matrix = np.tril(np.full((24, 24), -0.9)) + 1.9 * np.eye(24)
    compare(lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True),
            fixed(matrix), fixed(np.ones((24, 1))))  # fmt: skip


def test_stable_sort_of_many_ties():
    """The stability of MLX's sort on Metal is not documented."""
    compare(lambda k, v: lax.sort((k, v), num_keys=1, is_stable=True),
            uniform(0, 3, 3000, dtype="int32"), fixed(np.arange(3000), "int32"), dtype="int32")  # fmt: skip
