"""Complex arithmetic over all pairs of special values, against XLA:CPU (src/lower/complex.rs).

MLX's CPU backend multiplies as ``std::complex`` does, which makes infinities of two NaN
(annex G of C23); XLA's product is (ac - bd) + (ad + bc) i whatever the parts hold.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ops.harness import (
    Case,
    device_under_test,
    evaluate,
    fixed,
    reference_device,
    suite,
)

PARTS = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan], np.float32)


def of_parts(real, imaginary):
    result = np.empty(np.shape(real), np.complex64)
    result.real, result.imag = real, imaginary
    return result


NUMBERS = of_parts(np.repeat(PARTS, 7), np.tile(PARTS, 7))
LEFT, RIGHT = np.repeat(NUMBERS, 49), np.tile(NUMBERS, 49)


def assert_same(got, want, tolerance=3e-6):
    """Each part alike: NaN, infinities and signs of zeros exactly, the rest to the magnitude."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    magnitude = np.abs(want)
    for one, other in [(got.real, want.real), (got.imag, want.imag)]:
        same = (np.isnan(one) & np.isnan(other)) | (
            (one == other) & (np.signbit(one) == np.signbit(other))
        )
        with np.errstate(invalid="ignore"):
            near = np.isfinite(other) & (other != 0)
            near &= np.abs(one - other) <= tolerance * magnitude
        wrong = np.argwhere(~(same | near))
        places = [(tuple(map(int, at)), got[tuple(at)], want[tuple(at)]) for at in wrong[:5]]
        assert not wrong.size, f"{len(wrong)} of {want.size}: at, got, want {places}"


def compare(function, *arguments):
    for each in (jax.jit(function), function):
        got = evaluate(each, arguments, device_under_test())
        assert_same(got, evaluate(each, arguments, reference_device()))


BINARY = {"mul": lax.mul, "add": lax.add, "sub": lax.sub, "div": lax.div, "pow": lax.pow}


@pytest.mark.parametrize("name", BINARY)
def test_all_pairs_of_special_values(name):
    compare(BINARY[name], LEFT, RIGHT)


UNARY = {
    "neg": lax.neg,
    "abs": lax.abs,
    "sign": lax.sign,
    "conj": lax.conj,
    "exp": lax.exp,
    "exp2": lax.exp2,
    "expm1": lax.expm1,
    "log": lax.log,
    "log1p": lax.log1p,
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "sin": lax.sin,
    "cos": lax.cos,
    "tan": lax.tan,
    "sinh": lax.sinh,
    "cosh": lax.cosh,
    "tanh": lax.tanh,
    "logistic": lax.logistic,
    "asin": lax.asin,
    "acos": lax.acos,
    "atan": lax.atan,
    "asinh": lax.asinh,
    "acosh": lax.acosh,
    "atanh": lax.atanh,
    "square": lax.square,
    "cube": lambda z: lax.integer_pow(z, 3),
    "inverse_square": lambda z: lax.integer_pow(z, -2),
    "reciprocal": jnp.reciprocal,
    "sinc": jnp.sinc,
    "angle": jnp.angle,
}


@pytest.mark.parametrize("name", UNARY)
def test_all_special_values(name):
    compare(UNARY[name], NUMBERS)


PAIRS = np.stack([LEFT, RIGHT], axis=1)

PRODUCTS = {
    "broadcast": (lambda a, b: a[:, None] * b[None], NUMBERS, NUMBERS),
    "transposed": (lambda a, b: a.T * b, NUMBERS.reshape(7, 7), NUMBERS.reshape(7, 7)),
    "three_dimensions": (
        lambda a, b: a.transpose(2, 0, 1) * b[:, None],
        PAIRS[:240].reshape(4, 5, 24),
        PAIRS[:48].reshape(24, 4)[:, ::-1].copy()[:, :1] + np.zeros((24, 5), np.complex64),
    ),
    "scalar": (lambda a: a * np.complex64(complex(np.inf, 1)), NUMBERS),
    "real": (lambda a, b: a * b, LEFT, RIGHT.real.copy()),
    "one": (lambda a: a * 1, NUMBERS),
    "divided_by_one": (lambda a: a / 1, NUMBERS),
    "empty": (lambda a, b: a * b, NUMBERS[:0], NUMBERS[:0]),
    "rank_zero": (lambda a, b: a * b, np.complex64(1j), np.complex64(complex(np.inf, np.inf))),
    "prod": (lambda x: jnp.prod(x, axis=1), PAIRS),
    "prod_of_columns": (lambda x: jnp.prod(x, axis=0), PAIRS.T.copy()),
    "prod_of_one": (lambda x: jnp.prod(x, axis=1), NUMBERS[:, None]),
    "prod_from": (lambda x: lax.reduce(x, np.complex64(2 + 1j), lax.mul, (1,)), PAIRS),
    "cumprod": (lambda x: jnp.cumprod(x, axis=1), PAIRS),
    "cumprod_of_one": (lambda x: jnp.cumprod(x, axis=1), NUMBERS[:, None]),
    "window": (
        lambda x: lax.reduce_window(x, np.complex64(1), lax.mul, (1, 2), (1, 1), "SAME"),
        PAIRS[:, [0, 1, 0]],
    ),
    "scatter": (lambda x, i, u: x.at[i].multiply(u), LEFT, np.arange(len(LEFT)), RIGHT),
    "scatter_twice": (
        lambda x, i, u: x.at[i].multiply(u),
        NUMBERS[:2],
        np.array([0, 1, 0, 5, -1]),
        NUMBERS[[3, 24, 30, 2, 32]],
    ),
    "segment_prod": (
        lambda x, i: jax.ops.segment_prod(x, i, num_segments=len(LEFT)),
        PAIRS.ravel(),
        np.repeat(np.arange(len(LEFT)), 2),
    ),
    "dot_of_one": (lambda a, b: jax.vmap(jnp.dot)(a, b), LEFT[:, None], RIGHT[:, None]),
    "dot_of_rank_one": (jnp.dot, NUMBERS[30:31], NUMBERS[4:5]),
    "outer": (lambda a, b: a @ b, NUMBERS[:, None], NUMBERS[None]),
    "associative_scan": (lambda x: lax.associative_scan(jnp.multiply, x, axis=1), PAIRS),
    "escape_time": (lambda c: lax.fori_loop(0, 40, lambda _, z: z * z + c, c), NUMBERS),
    "gradient": (lambda a, b: jax.vjp(jnp.multiply, a, b)[1](a), LEFT, RIGHT),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name):
    function, *arguments = PRODUCTS[name]
    if name == "gradient":
        compare(lambda *a: function(*a)[0], *arguments)
    else:
        compare(function, *arguments)


def test_convolutions_are_finite_in_the_same_places():
    """Which parts of XLA's are NaN, and which infinite, depends on where Eigen's vectors end."""

    def convolve(a, b):
        return lax.conv_general_dilated(a, b, (1,), "VALID")

    arguments = [NUMBERS[:, None, None], NUMBERS[:, None, None]]
    for each in (jax.jit(convolve), convolve):
        got = np.asarray(evaluate(each, arguments, device_under_test()))
        want = np.asarray(evaluate(each, arguments, reference_device()))
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[finite], want[finite])


def test_a_product_is_plain():
    """The values themselves, so that the reference is not the only witness."""
    infinite = np.complex64(complex(np.inf, np.inf))
    product = evaluate(lax.mul, [np.complex64(1j), infinite], device_under_test())
    assert np.isnan(product.real) and np.isnan(product.imag)
    size = evaluate(lax.abs, [np.complex64(complex(np.inf, np.nan))], device_under_test())
    assert np.isnan(size)


def negative_real_parts(_, __):
    """Real parts below 0 beside imaginary ones of every size: |z| + re cancels."""
    generator = np.random.default_rng(7)
    real = -np.abs(generator.standard_normal(600)) * 10.0 ** generator.integers(-9, 9, 600)
    imaginary = generator.standard_normal(600) * 10.0 ** generator.integers(-9, 9, 600)
    return of_parts(real, imaginary)


def ordinary(_, __):
    generator = np.random.default_rng(8)
    return of_parts(generator.standard_normal(600), generator.standard_normal(600))


CASES = [
    *(
        Case(f"{name}_of_negative_real_parts", UNARY[name], [negative_real_parts], ("complex64",))
        for name in ("sqrt", "rsqrt", "log", "log1p", "abs", "sign", "asin", "acosh", "atanh")
    ),
    Case("sqrt_near_minus_one", lax.sqrt, [fixed([-1 + 1e-4j, -1 - 1e-4j, -4 + 1e-3j])],
         ("complex64",)),
    Case("atan2", lax.atan2, [ordinary, lambda g, d: -ordinary(g, d)[::-1]], ("complex64",),
         accumulates=True, gradient=True),
    Case("atan2_of_negative_real_parts", lax.atan2,
         [lambda g, d: np.clip(negative_real_parts(g, d).real, -9, -1e-3) + 0.5j, ordinary],
         ("complex64",), accumulates=True),
    Case("sqrt_gradient", lax.sqrt, [lambda g, d: ordinary(g, d) - 2], ("complex64",),
         gradient=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)


EXACT = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "rsqrt": lambda z: 1 / np.sqrt(z)}


@pytest.mark.parametrize("name", EXACT)
def test_no_overflow_on_the_way(name):
    huge = np.array([1e20, -1e20, 2e38, -2e38, 1e-20, -1e-20, 1.0], np.float32)
    numbers = of_parts(np.repeat(huge, 7), np.tile(huge, 7))
    for each in (jax.jit(UNARY[name]), UNARY[name]):
        got = np.asarray(evaluate(each, [numbers], device_under_test()))
        with np.errstate(all="ignore"):
            wide = numbers.astype(np.complex128)
            want = EXACT[name](wide)
        assert np.all(np.abs(got - want) <= 3e-6 * np.abs(want))
