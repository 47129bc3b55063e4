"""int64, uint64 and float64, which exist while x64 is on."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import (
    FLOATS64,
    INTEGERS64,
    NUMBERS64,
    SIGNED64,
    Case,
    distinct,
    fixed,
    full_range,
    normal,
    special_pairs,
    specials,
    suite,
    uniform,
)

SHAPE = (3, 5)

UNARY = [
    ("exp", lax.exp, (-20, 20)),
    ("expm1", lax.expm1, (-1, 1)),
    ("log", lax.log, (0.1, 9)),
    ("log1p", lax.log1p, (-0.5, 2)),
    ("sin", lax.sin, (-9, 9)),
    ("cos", lax.cos, (-9, 9)),
    ("tan", lax.tan, (-1, 1)),
    ("tanh", lax.tanh, (-3, 3)),
    ("logistic", lax.logistic, (-9, 9)),
    ("sqrt", lax.sqrt, (0.1, 9)),
    ("rsqrt", lax.rsqrt, (0.1, 9)),
    ("cbrt", lax.cbrt, (0.1, 9)),
    ("erf", lax.erf, (-3, 3)),
    ("erfc", lax.erfc, (-2, 4)),
    ("erf_inv", lax.erf_inv, (-0.9, 0.9)),
    ("asin", lax.asin, (-0.9, 0.9)),
    ("atanh", lax.atanh, (-0.9, 0.9)),
    ("asinh", lax.asinh, (-3, 3)),
    ("lgamma", lax.lgamma, (0.5, 8)),
    ("digamma", lax.digamma, (0.5, 8)),
]

INTEGER_PAIRS = [
    ("add", lax.add), ("sub", lax.sub), ("mul", lax.mul), ("div", lax.div), ("rem", lax.rem),
    ("max", lax.max), ("min", lax.min), ("and", lax.bitwise_and), ("or", lax.bitwise_or),
    ("xor", lax.bitwise_xor), ("lt", lax.lt), ("eq", lax.eq), ("shift_left", lax.shift_left),
    ("shift_right_arithmetic", lax.shift_right_arithmetic),
    ("shift_right_logical", lax.shift_right_logical),
]  # fmt: skip

TARGETS = ["bool", "int8", "int32", "uint32", "float32", "bfloat16", "float16", "int64", "uint64", "float64"]


def converted(target):
    return lambda x: lax.convert_element_type(x, target)


CASES = [
    # MLX evaluates no float64 together with arrays of a GPU's stream.
    Case("results_of_both_kinds", lambda x: (x * 2, jnp.sin(x.astype("float32")), x.sum()), [normal(10)], FLOATS64),
    *(
        Case(name, function, [uniform(*domain, *SHAPE)], FLOATS64, gradient=True, accumulates=True)
        for name, function, domain in UNARY
    ),
    *(
        Case(f"{name}_specials", function, [specials(huge=False)], FLOATS64)
        for name, function, _ in UNARY
        if name not in ("lgamma", "digamma")
    ),
    *(Case(f"{name}_pairs", function, special_pairs(), INTEGERS64) for name, function in INTEGER_PAIRS),
    *(Case(f"{name}_pairs", function, special_pairs(), FLOATS64, signed_zeros=True)
      for name, function in INTEGER_PAIRS[:7] + INTEGER_PAIRS[10:12]),
    Case("population_count", lax.population_count, [full_range(9)], INTEGERS64),
    Case("clz", lax.clz, [specials()], INTEGERS64),
    Case("neg_abs_sign", lambda x: (lax.neg(x), lax.abs(x), lax.sign(x)), [specials()],
         SIGNED64 + FLOATS64, signed_zeros=True),
    *(Case(f"convert_to_{target}", converted(target), [specials()], NUMBERS64) for target in TARGETS),
    Case("convert_from_float32", converted("float64"), [normal(9, dtype="float32")], FLOATS64),
    Case("convert_from_int32", converted("int64"), [full_range(9, dtype="int32")], INTEGERS64),
    Case("convert_from_float_to_int64", converted("int64"),
         [fixed([1e30, -1e30, np.nan, np.inf, -np.inf, 2.0**62, -2.5], "float32")], INTEGERS64),
    Case("bitcast", lambda x: lax.bitcast_convert_type(x, "uint64"), [specials()], FLOATS64),
    Case("bitcast_narrow", lambda x: lax.bitcast_convert_type(x, "uint32"), [specials()], NUMBERS64),
    Case("bitcast_wide", lambda x: lax.bitcast_convert_type(x, "int64"),
         [full_range(5, 2, dtype="uint32")], INTEGERS64),
    Case("dot", lambda x, y: x @ y, [normal(3, 5), normal(5, 4)], NUMBERS64, gradient=True,
         accumulates=True),
    Case("dot_full_range", lambda x, y: x @ y, [full_range(3, 5), full_range(5, 4)], INTEGERS64),
    Case("convolution", lambda x, k: lax.conv(x, k, (1, 2), "SAME"),
         [normal(1, 2, 5, 6), normal(3, 2, 3, 3)], FLOATS64, gradient=True, accumulates=True),
    Case("sum", lambda x: jnp.sum(x, axis=1), [normal(*SHAPE)], NUMBERS64, gradient=True, accumulates=True),
    Case("sum_full_range", lambda x: jnp.sum(x, axis=1), [full_range(*SHAPE)], INTEGERS64),
    Case("max_argmax", lambda x: (jnp.max(x, 1), jnp.argmax(x, 1)), [full_range(*SHAPE)], INTEGERS64),
    Case("argmax_float", lambda x: lax.argmax(x, 1, np.int64), [normal(*SHAPE)], FLOATS64),
    Case("cumsum", lambda x: lax.cumsum(x, 1), [normal(*SHAPE)], NUMBERS64, gradient=True, accumulates=True),
    Case("cumprod_cummax", lambda x: (lax.cumprod(x, 1), lax.cummax(x, 1)), [normal(*SHAPE)], NUMBERS64,
         accumulates=True),
    Case("sort", lambda x: lax.sort(x), [full_range(40)], INTEGERS64),
    Case("sort_specials", lambda x: lax.sort(x), [specials()], NUMBERS64),
    Case("argsort", lambda x: jnp.argsort(x), [distinct(9)], NUMBERS64),
    Case("top_k", lambda x: lax.top_k(x, 3), [distinct(9)], NUMBERS64),
    Case("gather", lambda x, i: x[i], [normal(5, 3), fixed([0, -1, 7, 2**40, -(2**40)], "int64")],
         NUMBERS64, gradient=True),
    Case("gather_fill", lambda x, i: jnp.take(x, i, axis=0), [normal(5, 3), fixed([0, -1, 7, 2**40], "int64")],
         NUMBERS64),
    Case("scatter_set", lambda x, i, u: x.at[i].set(u), [full_range(5), fixed([0, 3, 2**33]), full_range(3)],
         INTEGERS64),
    Case("scatter_add", lambda x, i, u: x.at[i].add(u),
         [normal(5, 2), fixed([0, 3, 3, 2**40], "int64"), normal(4, 2)], NUMBERS64, gradient=True,
         accumulates=True),
    Case("scatter_max_mul", lambda x, i, u: (x.at[i].max(u), x.at[i].multiply(u)),
         [normal(5), fixed([0, 3, 3], "int64"), normal(3)], NUMBERS64, accumulates=True),
    Case("dynamic_slice", lambda x, i: lax.dynamic_slice(x, (i,), (2,)), [normal(5), fixed(2**40, "int64")],
         NUMBERS64, gradient=True),
    Case("select_clamp", lambda x: (jnp.where(x > 0, x, -x), jnp.clip(x, 1, 3)), [normal(9)],
         SIGNED64 + FLOATS64, gradient=True),
    Case("pad_reverse_concatenate",
         lambda x: lax.concatenate([lax.rev(lax.pad(x, x[0], [(1, 2, 1)]), (0,)), x], 0), [normal(4)],
         NUMBERS64, gradient=True),
    Case("iota", lambda x: lax.iota(x.dtype, 9) + x[0] * 0, [normal(1)], NUMBERS64),
    Case("constant", lambda x: x + jnp.asarray(np.arange(3) * 2**33, x.dtype), [normal(3)], NUMBERS64),
    Case("reduce_window", lambda x: lax.reduce_window(x, x.dtype.type(0), lax.add, (3,), (2,), "SAME"),
         [normal(9)], NUMBERS64, accumulates=True),
    Case("while_loop", lambda x: lax.fori_loop(0, 70, lambda i, v: v * 3 + i, x), [normal(2)], INTEGERS64),
    Case("scan", lambda x: lax.scan(lambda c, v: (c + v, c * v), x[0], x), [normal(5)], FLOATS64,
         gradient=True, accumulates=True),
    Case("cholesky", lambda x: jnp.linalg.cholesky(x @ x.T + 5 * jnp.eye(4)), [normal(4, 4)], FLOATS64,
         gradient=True, accumulates=True),
    Case("cholesky_not_positive", jnp.linalg.cholesky, [fixed([[1, 2], [2, 1]])], FLOATS64),
    Case("triangular_solve",
         lambda a, b: lax.linalg.triangular_solve(a + 4 * jnp.eye(4), b, left_side=True, lower=True),
         [normal(4, 4), normal(4, 2)], FLOATS64, gradient=True, accumulates=True),
    Case("random_bits", lambda like: jax.random.bits(jax.random.key(3), (5,), "uint64"), [normal(1)],
         ("uint64",)),
    Case("random_uniform", lambda like: jax.random.uniform(jax.random.key(3), (5,), "float64"), [normal(1)],
         FLOATS64),
    Case("random_normal", lambda like: jax.random.normal(jax.random.key(3), (5,), "float64"), [normal(1)],
         FLOATS64),
    Case("rng_bit_generator", lambda key: lax.rng_bit_generator(key, (5,), "uint64"), [full_range(2)],
         ("uint64",)),
    Case("softmax", lambda x: jax.nn.softmax(x, axis=1), [normal(*SHAPE)], FLOATS64, gradient=True,
         accumulates=True),
    Case("pow", lax.pow, [uniform(0.5, 3, *SHAPE), uniform(-2, 2, *SHAPE)], FLOATS64, gradient=True),
    Case("atan2_nextafter", lambda x, y: (lax.atan2(x, y), lax.nextafter(x, y)), special_pairs(huge=False),
         FLOATS64, signed_zeros=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
