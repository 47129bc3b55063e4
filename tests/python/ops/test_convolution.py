"""Convolutions of any rank, layout, dilation and grouping (src/lower/convolution)."""

import functools

from jax import lax

from ops.harness import FLOATS, Case, normal, suite


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
