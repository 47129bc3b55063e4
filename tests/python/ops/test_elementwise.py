"""Element-wise arithmetic, bit and transcendental ops (src/lower/elementwise)."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ops.harness import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INEXACT,
    INT4,
    INTEGERS,
    NUMBERS,
    SIGNED,
    Case,
    device_under_test,
    differences,
    evaluate,
    full_range,
    normal,
    precision_of,
    reference_device,
    runs_of,
    special_pairs,
    special_values,
    specials,
    suite,
    uniform,
)

SHAPE = (3, 5)

# name, function, dtypes, the domain of the random numbers
UNARY = [
    ("neg", lax.neg, NUMBERS, (-4, 4)),
    ("abs", lax.abs, SIGNED + INEXACT, (-4, 4)),
    ("sign", lax.sign, NUMBERS, (-4, 4)),
    ("floor", lax.floor, FLOATS, (-4, 4)),
    ("ceil", lax.ceil, FLOATS, (-4, 4)),
    ("exp", lax.exp, INEXACT, (-4, 4)),
    ("exp2", lax.exp2, FLOATS, (-4, 4)),
    ("expm1", lax.expm1, INEXACT, (-1, 1)),
    ("log", lax.log, INEXACT, (0.1, 4)),
    ("log1p", lax.log1p, INEXACT, (-0.5, 1)),
    ("sqrt", lax.sqrt, INEXACT, (0.1, 4)),
    ("rsqrt", lax.rsqrt, INEXACT, (0.1, 4)),
    ("cbrt", lax.cbrt, FLOATS, (0.1, 4)),
    ("sin", lax.sin, INEXACT, (-4, 4)),
    ("cos", lax.cos, INEXACT, (-4, 4)),
    ("tan", lax.tan, INEXACT, (-1, 1)),
    ("sinh", lax.sinh, INEXACT, (-2, 2)),
    ("cosh", lax.cosh, INEXACT, (-2, 2)),
    ("tanh", lax.tanh, INEXACT, (-2, 2)),
    ("logistic", lax.logistic, INEXACT, (-4, 4)),
    ("asin", lax.asin, INEXACT, (-0.9, 0.9)),
    ("acos", lax.acos, INEXACT, (-0.9, 0.9)),
    ("atan", lax.atan, INEXACT, (-0.9, 0.9)),
    ("asinh", lax.asinh, INEXACT, (-2, 2)),
    ("acosh", lax.acosh, INEXACT, (1.1, 4)),
    ("atanh", lax.atanh, INEXACT, (-0.9, 0.9)),
    ("square", lax.square, NUMBERS, (-4, 4)),
    ("integer_pow_3", lambda x: lax.integer_pow(x, 3), NUMBERS, (-3, 3)),
    ("integer_pow_minus_2", lambda x: lax.integer_pow(x, -2), INEXACT, (0.5, 3)),
]

# Functions of complex numbers for which XLA's formulas lose some signs of zeros that C has (docs/ops.md).
LOST_SIGNS = {"tan", "tanh"}

# Where products of the parts of complex numbers overflow or fall below the normal numbers, XLA:CPU's fused
# multiply-add and flushed denormals decide (docs/ops.md); test_complex.py has those of its values that they leave alone.
PRODUCTS_OF_PARTS = {"mul", "div", "integer_pow_minus_2"}


def unrooted_specials(_, dtype):
    """Without 1 + tiny j, where acos is a root of tiny, which XLA:CPU, flushing denormal numbers on the way, takes for 0."""
    values = special_values(dtype)
    if not np.iscomplexobj(values):
        return values
    return values[~((values.real == 1) & (np.abs(values.imag) == np.finfo(dtype).tiny))]


def coarse_specials(_, dtype):
    """Without parts that are the rounding of 1: JAX sends sinh of complex numbers as a difference of exponentials."""
    values = special_values(dtype)
    if not np.iscomplexobj(values):
        return values
    return values[np.abs(values.real) != np.finfo(dtype).eps]


SPECIALS = {"acos": unrooted_specials, "acosh": unrooted_specials, "sinh": coarse_specials}


BINARY = [
    ("add", lax.add, NUMBERS),
    ("sub", lax.sub, NUMBERS),
    ("mul", lax.mul, NUMBERS),
    ("max", lax.max, ALL),
    ("min", lax.min, ALL),
    ("div", lax.div, NUMBERS),
    ("rem", lax.rem, INTEGERS + FLOATS),
]

BITS = [
    ("and", lax.bitwise_and),
    ("or", lax.bitwise_or),
    ("xor", lax.bitwise_xor),
]

SHIFTS = [
    ("shift_left", lax.shift_left),
    ("shift_right_arithmetic", lax.shift_right_arithmetic),
    ("shift_right_logical", lax.shift_right_logical),
]


def shift_amounts(_, dtype):
    """Each amount from 0 beyond the width, for each special value, as one flat array."""
    width = dtype.itemsize * 8
    amounts = np.array([0, 1, width - 1, width, width + 3, min(127, 3 * width)])
    return np.tile(amounts, SHIFTED).astype(dtype)


SHIFTED = 8


def shift_values(generator, dtype):
    return np.repeat(full_range(SHIFTED)(generator, dtype), 6)


def away_from_zero(generator, dtype):
    """Denominators: not near zero, so that the quotient is well conditioned."""
    values = uniform(1, 4, *SHAPE)(generator, dtype)
    return values if dtype.kind == "u" else values * generator.choice([1, -1], SHAPE).astype(dtype)


CASES = [
    *(
        Case(name, function, [uniform(*domain, *SHAPE)], signed_dtypes, gradient=True)
        for name, function, dtypes, domain in UNARY
        for signed_dtypes in [tuple(d for d in dtypes if domain[0] >= 0 or not d.startswith("u"))]
    ),
    *(
        Case(f"{name}_specials", function, [SPECIALS.get(name, specials(huge))], chosen, signed_zeros=signs)
        for name, function, dtypes, _ in UNARY
        for chosen, huge, signs in [
            (tuple(d for d in dtypes if d not in COMPLEX), True, True),
            (tuple(d for d in dtypes if d in COMPLEX), name not in PRODUCTS_OF_PARTS, name not in LOST_SIGNS),
        ]
    ),
    *(
        Case(f"{name}_{kind}", function, [normal(*shape)], ("float32",))
        for name, function in [("exp", lax.exp), ("neg", lax.neg)]
        for kind, shape in [("scalar", ()), ("empty", (0, 4)), ("one", (1, 1, 1))]
    ),
    *(
        Case(name, function, [normal(*SHAPE), away_from_zero], dtypes, gradient=True)
        for name, function, dtypes in BINARY
        if "bool" not in dtypes
    ),
    *(
        Case(name, function, [normal(*SHAPE), normal(*SHAPE)], dtypes, gradient=True)
        for name, function, dtypes in BINARY
        if "bool" in dtypes
    ),
    *(
        Case(f"{name}_specials", function, special_pairs(huge), chosen, signed_zeros=True)
        for name, function, dtypes in BINARY
        for chosen, huge in [
            (tuple(d for d in dtypes if d not in COMPLEX), True),
            (tuple(d for d in dtypes if d in COMPLEX), name not in PRODUCTS_OF_PARTS),
        ]
    ),
    *(
        Case(name, function, [full_range(*SHAPE), full_range(*SHAPE)], BOOL + INTEGERS)
        for name, function in BITS
    ),
    Case("not", lax.bitwise_not, [full_range(*SHAPE)], BOOL + INTEGERS),
    *(
        Case(name, function, [shift_values, shift_amounts], INTEGERS)
        for name, function in SHIFTS
    ),
    Case("shift_left_negative", lax.shift_left, special_pairs(), SIGNED),
    Case("population_count", lax.population_count, [full_range(*SHAPE)], INTEGERS),
    Case("population_count_specials", lax.population_count, [specials()], INTEGERS),
    Case("clz", lax.clz, [full_range(*SHAPE)], INTEGERS),
    Case("clz_specials", lax.clz, [specials()], INTEGERS),
    Case("mul_wraps", lax.mul, [full_range(*SHAPE), full_range(*SHAPE)], INTEGERS),
    Case("add_wraps", lax.add, [full_range(*SHAPE), full_range(*SHAPE)], INTEGERS),
    Case("neg_wraps", lax.neg, [full_range(*SHAPE)], INTEGERS),
    Case("div_full_range", lax.div, [full_range(7, 9), full_range(7, 9)], INTEGERS),
    Case("rem_full_range", lax.rem, [full_range(7, 9), full_range(7, 9)], INTEGERS),
    Case("add_int4", lax.add, special_pairs(), INT4),
    Case("mul_int4", lax.mul, special_pairs(), INT4),
    Case("pow", lax.pow, [uniform(0.5, 3, *SHAPE), uniform(-2, 2, *SHAPE)], INEXACT, gradient=True),
    Case("pow_specials", lax.pow, special_pairs(), ("float32", "float16", "bfloat16"), signed_zeros=True),
    Case(
        "pow_integer_exponent",
        lax.pow,
        [uniform(1, 3, *SHAPE), uniform(0, 4, *SHAPE, dtype="int32")],
        INEXACT,
    ),
    Case("pow_of_integers", jnp.power, [normal(40), uniform(0, 5, 40)], INTEGERS),
    Case("atan2", lax.atan2, [normal(*SHAPE), away_from_zero], FLOATS, gradient=True),
    Case("atan2_specials", lax.atan2, special_pairs(), ("float32", "float16", "bfloat16"), signed_zeros=True),
    Case("nextafter", lax.nextafter, [normal(*SHAPE), normal(*SHAPE)], ("float32", "float16", "bfloat16")),
    Case("nextafter_specials", lax.nextafter, special_pairs(), ("float32", "float16", "bfloat16"), signed_zeros=True),
    Case(
        "round_half_even",
        lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
        [specials()],
        FLOATS,
        signed_zeros=True,
    ),
    Case(
        "round_half_away",
        lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
        [specials()],
        FLOATS,
        signed_zeros=True,
    ),
    Case("is_finite", lax.is_finite, [specials()], FLOATS),
    Case("real", lax.real, [specials()], COMPLEX, signed_zeros=True),
    Case("imag", lax.imag, [specials()], COMPLEX, signed_zeros=True),
    Case("complex", lax.complex, special_pairs(), ("float32",), signed_zeros=True),
    Case("complex_parts", lax.complex, [normal(*SHAPE), normal(*SHAPE)], gradient=True),
    Case("conj", lax.conj, [specials()], COMPLEX, signed_zeros=True),
    Case("real_gradient", lax.real, [normal(*SHAPE)], COMPLEX, gradient=True),
    Case("imag_gradient", lax.imag, [normal(*SHAPE)], COMPLEX, gradient=True),
    Case("conj_gradient", lax.conj, [normal(*SHAPE)], COMPLEX, gradient=True),
    Case(
        "reduce_precision_bfloat16",
        lambda x: lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7),
        [normal(40)],
        gradient=True,
    ),
    Case(
        "reduce_precision_float16",
        lambda x: lax.reduce_precision(x, exponent_bits=5, mantissa_bits=10),
        [specials()],
        signed_zeros=True,
    ),
    Case(
        "reduce_precision_small",
        lambda x: lax.reduce_precision(x, exponent_bits=4, mantissa_bits=3),
        [specials()],
        FLOATS,
        signed_zeros=True,
    ),
]

# Special values are the matter of test_each_evaluator below.
EVALUATED_TOO = [case for case in CASES if case.name.endswith("_specials")]

test_value, test_gradient = suite([case for case in CASES if case not in EVALUATED_TOO])


def test_nextafter_is_one_operation():
    x = jnp.ones(3)
    text = jax.jit(lax.nextafter).trace(x, x).lower(lowering_platforms=("mps",)).as_text()
    assert text.count("stablehlo.") == 1 and "mps.next_after" in text


# Each op by each of the evaluators of its expression (src/expression), for special values of every type.

EVALUATED = [
    run
    for run in runs_of(
        dataclasses.replace(case, dtypes=(*case.dtypes, *(("float64",) if "float32" in case.dtypes and case.name != "complex" else ())))
        for case in CASES
        if "_specials" in case.name or case.name in ("complex", "real", "imag", "conj", "is_finite", "round_half_even")
    )
]

INTERPRETED = 50_000

EVALUATORS = {
    "mlx": {"JAX_MPS_PLACE": "device"},
    "native": {"JAX_MPS_PLACE": "host"},
    "interpreter": {},
}


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("run", EVALUATED, ids=lambda run: run.name)
def test_each_evaluator(run, evaluator, monkeypatch, tmp_path):
    device = device_under_test()
    if device.platform != "mps":
        pytest.skip("XLA:CPU has one way")
    for name, value in EVALUATORS[evaluator].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JAX_MPS_DUMP", str(tmp_path))
    monkeypatch.delenv("JAX_MPS_DUMP_STAGE", raising=False)
    case = run.case
    # The passes interpret what is known at compile time, of so many elements.
    count = -(-run.arguments[0].size // INTERPRETED) if evaluator == "interpreter" else 1
    settings = {"gradient": False, "accumulates": case.accumulates, "conditioning": case.conditioning}
    for arguments in zip(*(np.array_split(argument, count) for argument in run.arguments), strict=True):
        with precision_of(run.dtype):
            want = evaluate(jax.jit(case.function), arguments, reference_device())
            # Another function each time, which is compiled with these settings.
            if evaluator == "interpreter":
                got = evaluate(jax.jit(lambda arguments=arguments: case.function(*arguments)), (), device)
            else:
                got = evaluate(jax.jit(lambda *values: case.function(*values)), arguments, device)
        assert not differences(got, want, zeros=case.signed_zeros, **settings)
    plans = [path.read_text() for path in tmp_path.glob("*.plan.txt")]
    assert len(plans) == count
    for plan in plans:
        if evaluator == "interpreter":
            assert set(re.findall(r"stablehlo\.(\w+)", plan)) <= {"constant", "reshape", "broadcast_in_dim"}, plan
        else:
            assert plan.startswith(f"// {evaluator}: "), plan
