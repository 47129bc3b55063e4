"""Convolutions of any rank, layout, dilation and grouping (src/lower/convolution)."""

import functools
import os

import jax
import numpy as np
import pytest
from jax import lax

from ops.harness import (
    FLOATS, Case, check_gradient, check_value, device_under_test, evaluate, normal, precision_of, reference_device,
    runs_of, suite,
)  # fmt: skip


def convolve(x, kernel, **options):
    options.setdefault("window_strides", (1,) * (x.ndim - 2))
    options.setdefault("padding", "SAME")
    return lax.conv_general_dilated(x, kernel, **options)


NHWC = ("NHWC", "HWIO", "NHWC")
ONE, MORE = ("float32",), ("float32", "bfloat16", "float16", "complex64", "int32")

# name, shape of the input, shape of the kernel, options, dtypes
FORMS = [
    ("one_dimension", (2, 3, 9), (4, 3, 3), {}, MORE),
    ("two_dimensions", (2, 3, 6, 5), (4, 3, 3, 2), {}, MORE),
    ("three_dimensions", (1, 2, 4, 5, 3), (3, 2, 2, 3, 2), {}, ONE),
    ("zero_dimensions", (2, 3), (4, 3), {"padding": ()}, ONE),
    ("nhwc", (2, 6, 5, 3), (3, 2, 3, 4), {"dimension_numbers": NHWC}, ("float32", "bfloat16")),
    ("strides", (2, 3, 7, 8), (4, 3, 3, 2), {"window_strides": (2, 3)}, ("float32", "complex64")),
    ("valid", (2, 3, 7, 8), (4, 3, 3, 2), {"padding": "VALID"}, ONE),
    ("same_lower", (2, 3, 7, 8), (4, 3, 2, 2), {"padding": "SAME_LOWER"}, ONE),
    ("asymmetric_padding", (1, 2, 5, 6), (2, 2, 3, 3), {"padding": [(2, 0), (1, 3)]}, ONE),
    ("negative_padding", (1, 2, 8, 8), (2, 2, 3, 3), {"padding": [(-1, 2), (0, -2)]}, ONE),
    ("kernel_dilation", (1, 2, 8, 9), (2, 2, 3, 2), {"rhs_dilation": (2, 3)}, ("float32", "int32")),
    ("input_dilation", (1, 2, 4, 5), (2, 2, 3, 2),
     {"lhs_dilation": (2, 3), "padding": [(2, 1), (1, 2)]}, ("float32", "int32")),
    ("all_dilations", (1, 2, 5, 6), (2, 2, 2, 3),
     {"lhs_dilation": (2, 1), "rhs_dilation": (1, 2), "window_strides": (2, 1),
      "padding": [(1, -1), (2, 3)]}, ONE),
    ("groups", (2, 6, 5, 5), (4, 3, 3, 3), {"feature_group_count": 2}, ("float32", "complex64")),
    ("depthwise", (2, 4, 5, 5), (4, 1, 3, 3), {"feature_group_count": 4}, ("float32", "bfloat16")),
    ("depthwise_multiplier", (2, 3, 7), (6, 1, 3), {"feature_group_count": 3}, ONE),
    ("groups_three_dimensions", (1, 4, 3, 4, 3), (2, 2, 2, 2, 2), {"feature_group_count": 2}, ONE),
    ("groups_strides_nhwc", (1, 7, 7, 4), (3, 3, 2, 6),
     {"dimension_numbers": NHWC, "feature_group_count": 2, "window_strides": (2, 2)}, ONE),
    ("batch_groups", (4, 3, 5, 5), (6, 3, 3, 3), {"batch_group_count": 2}, ("float32", "int32")),
    ("odd_layout", (5, 2, 3, 6), (3, 4, 3, 2),
     {"dimension_numbers": ("HNCW", "WOIH", "CWNH"), "padding": "VALID"}, ONE),
    ("odd_layout_swapped", (5, 2, 3, 6), (3, 4, 3, 2),
     {"dimension_numbers": ("HNCW", "HOIW", "WCHN"), "padding": "SAME"}, ONE),
    ("kernel_wider_than_input", (1, 1, 2), (1, 1, 5), {"padding": [(4, 4)]}, ONE),
    ("pointwise", (2, 3, 4, 4), (5, 3, 1, 1), {"padding": "VALID"}, ("float32", "bfloat16")),
    ("one_pixel_result", (2, 3, 4, 4), (5, 3, 4, 4), {"padding": "VALID"}, ONE),
    ("empty_result", (1, 2, 2), (3, 2, 3), {"padding": "VALID"}, ONE),
    ("empty_batch", (0, 2, 5), (3, 2, 3), {}, ONE),
    ("preferred_float32", (1, 2, 5), (3, 2, 3), {"preferred_element_type": "float32"},
     ("bfloat16", "float16")),
]  # fmt: skip

CASES = [
    *(
        Case(name, functools.partial(convolve, **options), [normal(*left), normal(*right)], dtypes,
             gradient=name not in {"empty_result", "empty_batch", "preferred_float32"},
             accumulates=True)
        for name, left, right, options, dtypes in FORMS
    ),
    Case("preferred_int32", functools.partial(convolve, preferred_element_type="int32"),
         [normal(1, 2, 5), normal(3, 2, 3)], ("int8", "uint8", "int16")),
    *(
        Case(f"transpose_{padding.lower()}",
             lambda x, k, padding=padding: lax.conv_transpose(x, k, (2, 2), padding),
             [normal(1, 4, 5, 2), normal(3, 3, 2, 3)], gradient=True, accumulates=True)
        for padding in ("SAME", "VALID")
    ),
    Case("transpose_kernel",
         lambda x, k: lax.conv_transpose(x, k, (2,), "SAME", transpose_kernel=True),
         [normal(1, 4, 2), normal(3, 3, 2)], gradient=True, accumulates=True),
    Case("patches",
         lambda x: lax.conv_general_dilated_patches(x, (2, 3), (1, 2), "VALID"),
         [normal(1, 2, 4, 7)], FLOATS, gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)


# Kernels that are not finite meet zeros of padding and dilation, which XLA:CPU multiplies or leaves out: the latter for
# dilated operands without strides of up to two dimensions, for kernels larger than the operand, for arrays of 8 bytes,
# for more than three dimensions, and for f64.
NOT_FINITE = [
    ("padding", (2, 3, 5, 4), (4, 3, 3, 2), {"padding": [(1, 2), (0, 1)]}),
    ("strides", (2, 2, 6, 5), (3, 2, 3, 3), {"window_strides": (2, 2)}),
    ("kernel_dilation", (1, 2, 6, 7), (2, 2, 3, 2), {"rhs_dilation": (2, 3), "padding": [(2, 1), (0, 3)]}),
    ("negative_padding", (1, 2, 6, 6), (2, 2, 3, 2), {"padding": [(-1, 2), (2, -2)]}),
    ("dilation", (2, 2, 4, 5), (3, 2, 3, 2), {"lhs_dilation": (2, 3), "padding": [(2, 1), (1, 2)]}),
    ("dilation_one_dimension", (2, 2, 5), (3, 2, 4), {"lhs_dilation": (2,), "padding": [(3, -1)]}),
    ("dilation_and_strides", (2, 2, 5, 4), (3, 2, 3, 2),
     {"lhs_dilation": (2, 1), "window_strides": (1, 2), "padding": [(2, 1), (1, 2)]}),
    ("all_dilations", (1, 2, 4, 5), (2, 2, 2, 3),
     {"lhs_dilation": (2, 1), "rhs_dilation": (1, 2), "padding": [(1, 1), (2, 3)]}),
    ("dilation_three_dimensions", (1, 2, 3, 4, 3), (2, 2, 2, 3, 2),
     {"lhs_dilation": (2, 1, 2), "padding": [(1, 1), (1, 1), (0, 1)]}),
    ("four_dimensions", (1, 2, 3, 2, 3, 2), (2, 2, 2, 2, 2, 2), {}),
    ("long_kernel", (2, 2, 3), (3, 2, 5), {"padding": [(3, 4)]}),
    ("large_kernel", (1, 2, 2, 3), (2, 2, 4, 3), {"padding": [(3, 2), (1, 2)], "window_strides": (1, 2)}),
    ("groups", (2, 6, 5, 4), (4, 3, 3, 2), {"feature_group_count": 2}),
    ("groups_long_kernel", (2, 4, 3), (2, 2, 5), {"feature_group_count": 2, "padding": [(2, 3)]}),
    ("groups_dilation", (2, 4, 4, 3), (4, 2, 3, 2),
     {"feature_group_count": 2, "lhs_dilation": (2, 1), "padding": [(1, 2), (1, 1)]}),
    ("depthwise_dilation", (2, 3, 5), (3, 1, 4),
     {"feature_group_count": 3, "lhs_dilation": (2,), "padding": [(2, 3)]}),
    ("only_padding", (2, 2, 2, 3), (3, 2, 2, 2), {"padding": [(-2, 4), (1, 1)]}),
    ("tiny", (1, 1, 2), (1, 1, 2), {"padding": [(1, 1)]}),
    ("nhwc", (2, 4, 3, 2), (3, 2, 2, 4), {"dimension_numbers": NHWC, "lhs_dilation": (2, 2), "padding": [(1, 2), (0, 1)]}),
    ("zero_dimensions", (2, 3), (4, 3), {"padding": ()}),
]  # fmt: skip


def partly_infinite(*shape):
    """Small integers, some of them replaced by infinities of both signs and NaN: no sum is rounded."""

    def make(generator, dtype):
        values = generator.integers(-2, 3, size=shape)
        special = generator.choice([np.inf, -np.inf, np.nan], size=shape, p=[0.45, 0.45, 0.1])
        chosen = np.where(generator.random(shape) < 0.25, special, values)
        chosen.flat[generator.integers(chosen.size)] = np.inf
        return chosen.astype(dtype)

    return make


def whole(*shape):
    """Small integers."""
    return lambda generator, dtype: generator.integers(-2, 3, size=shape).astype(dtype)


RUNS = runs_of(
    Case(name, functools.partial(convolve, **options), [argument(*left), partly_infinite(*right)], dtypes,
         gradient=argument is whole, accumulates=True)
    for argument, suffix in ((whole, ""), (partly_infinite, "_of_both"))
    for name, left, right, options in NOT_FINITE
    # XLA:CPU multiplies infinities of one group by the zeros of others where f64 has one feature each.
    for name, dtypes in [(name + suffix, FLOATS if name == "depthwise_dilation" else (*FLOATS, "float64"))]
)  # fmt: skip


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_kernels_that_are_not_finite(run):
    if on_the_host() or run.dtype == np.float64:
        check_value(run)
        if run.case.gradient:
            check_gradient(run)
        return
    # GPUs multiply the zeros of padding: results differ in being NaN alone.
    with precision_of(run.dtype):
        got, want = (
            np.asarray(evaluate(jax.jit(run.case.function), run.arguments, device))
            for device in (device_under_test(), reference_device())
        )
    number = ~(np.isnan(got) | np.isnan(want))
    np.testing.assert_array_equal(got[number], want[number])


def on_the_host():
    """Whether the CPU computes, and not in a GPU's place."""
    played = os.environ.get("JAX_MPS_CAPABILITIES", "cpu") != "cpu"
    return "CPU" in device_under_test().device_kind and not played


def test_a_kernel_that_is_not_finite_is_found_in_every_call():
    # Compiled once, with and without what must be mended; the operand of one call is the result of another.
    def function(x, k):
        y = lax.conv_general_dilated(x, k, (1, 1), [(1, 2), (2, 1)], lhs_dilation=(2, 2))
        return y, lax.conv_general_dilated(y, k, (1, 1), [(1, 1), (1, 1)], lhs_dilation=(1, 2)), y + 1

    generator = np.random.default_rng(3)
    x, k = whole(1, 2, 4, 3)(generator, np.dtype("float32")), whole(2, 2, 2, 3)(generator, np.dtype("float32"))
    bad = k.copy()
    bad[0, 1, 0, 2] = np.inf
    compiled = jax.jit(function)
    for kernel in (k, bad, k):
        got = evaluate(compiled, [x, kernel], device_under_test())
        want = evaluate(compiled, [x, kernel], reference_device())
        for one, other in zip(got, want, strict=True):
            one, other = np.asarray(one), np.asarray(other)
            number = np.full(other.shape, True) if on_the_host() else ~(np.isnan(one) | np.isnan(other))
            np.testing.assert_array_equal(one[number], other[number])
