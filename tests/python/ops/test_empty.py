"""Dimensions of size 0 in every kind of op: results are empty, or the value of a reduction of nothing."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import Case, fixed, normal, suite

FEW = ("float32", "int32")
ALL_KINDS = ("float32", "bfloat16", "complex64", "int32", "uint8", "bool")


def windows(reducer, init):
    return lambda x: lax.reduce_window(x, np.asarray(init, x.dtype), reducer, (1, 2), (1, 1), "SAME")


def convolve(x, kernel, **options):
    return lax.conv_general_dilated(x, kernel, (1,), options.pop("padding", "SAME"), **options)


def loop(x):
    return lax.fori_loop(0, 3, lambda _, value: value + value, x)


def scan(x):
    return lax.scan(lambda carry, row: (carry + row, carry), jnp.zeros(x.shape[1:], x.dtype), x)


# name, function, shapes, dtypes
EMPTY = [
    ("add", lax.add, [(0, 3), (0, 3)], FEW),
    ("exp", lax.exp, [(0,)], ("float32", "complex64")),
    ("select", lambda x, y: jnp.where(x > y, x, y), [(2, 0), (2, 0)], FEW),
    ("clamp", lambda x: jnp.clip(x, 0, 1), [(0,)], FEW),
    ("convert", lambda x: x.astype("float16"), [(0, 2)], ("float32", "int32", "bool")),
    ("bitcast", lambda x: lax.bitcast_convert_type(x, "uint8"), [(0, 2)], FEW),
    ("broadcast", lambda x: jnp.broadcast_to(x, (4, 0, 3)), [(0, 3)], FEW),
    ("broadcast_to_nothing", lambda x: jnp.broadcast_to(x, (0, 3)), [(1, 3)], FEW),
    ("reshape", lambda x: x.reshape(5, 0), [(0, 3)], FEW),
    ("transpose", lambda x: x.T, [(0, 3)], FEW),
    ("reverse", lambda x: jnp.flip(x), [(0, 3)], FEW),
    ("concatenate", lambda x, y: jnp.concatenate([x, y, x]), [(0, 3), (2, 3)], ALL_KINDS),
    ("concatenate_nothing", lambda x, y: jnp.concatenate([x, y]), [(0, 3), (0, 3)], FEW),
    ("pad", lambda x: lax.pad(x, np.zeros((), x.dtype), [(1, 2, 0), (0, 0, 0)]), [(0, 3)], FEW),
    ("pad_interior", lambda x: lax.pad(x, np.ones((), x.dtype), [(2, 1, 3), (-1, -2, 0)]), [(0, 3)], FEW),
    ("slice_of_nothing", lambda x: x[1:1], [(4, 3)], FEW),
    ("dynamic_slice", lambda x: lax.dynamic_slice(x, (1, 2), (0, 2)), [(4, 3)], FEW),
    ("dynamic_slice_of_empty", lambda x: lax.dynamic_slice(x, (1, 2), (0, 2)), [(0, 3)], FEW),
    ("dynamic_update_slice", lambda x, y: lax.dynamic_update_slice(x, y, (1, 0)), [(4, 3), (0, 3)], FEW),
    ("gather_nothing", lambda x: x[jnp.zeros((0,), int)], [(4, 3)], FEW),
    ("gather_from_empty_rows", lambda x: x[jnp.array([1, 0])], [(4, 0)], FEW),
    ("scatter_nothing", lambda x, u: x.at[jnp.zeros((0,), int)].add(u), [(4, 3), (0, 3)], FEW),
    ("scatter_into_nothing", lambda x, u: x.at[jnp.array([0, 1])].set(u, mode="drop"), [(0, 3), (2, 3)], FEW),
    ("sum", lambda x: jnp.sum(x, 0), [(0, 3)], ALL_KINDS),
    ("sum_all", jnp.sum, [(0, 3)], FEW),
    ("sum_of_empty_rows", lambda x: jnp.sum(x, 0), [(4, 0)], FEW),
    ("prod", lambda x: jnp.prod(x, 1), [(3, 0)], FEW),
    ("all_any", lambda x: (jnp.all(x, 0), jnp.any(x, 0)), [(0, 3)], ("bool",)),
    ("max_initial", lambda x: jnp.max(x, 0, initial=2), [(0, 3)], FEW),
    ("min_initial", lambda x: jnp.min(x, 0, initial=-2), [(0, 3)], FEW),
    ("argmax_of_empty_rows", lambda x: jnp.argmax(x, 0), [(4, 0)], FEW),
    ("general_reduction",
     lambda x: lax.reduce(x, np.asarray(3, x.dtype), lambda a, b: a * b + a, (0,)), [(0, 3)], FEW),
    ("two_operand_reduction",
     lambda x, y: lax.reduce((x, y), (np.asarray(3, x.dtype), np.asarray(4, x.dtype)),
                             lambda a, b: (a[0] + b[0], a[1] * b[1]), (0,)), [(0, 3), (0, 3)], FEW),
    ("mean_of_nothing", lambda x: jnp.mean(x, 0), [(0, 3)], ("float32", "bfloat16", "complex64")),
    ("var_of_nothing", lambda x: jnp.var(x, 0), [(0, 3)], ("float32",)),
    ("logsumexp_of_nothing", lambda x: jax.nn.logsumexp(x, 0), [(0, 3)], ("float32",)),
    ("softmax", jax.nn.softmax, [(0, 3)], ("float32",)),
    ("cumsum", lambda x: jnp.cumsum(x, 0), [(0, 3)], FEW),
    ("cumsum_of_empty_rows", lambda x: jnp.cumsum(x, 0), [(3, 0)], FEW),
    ("cumprod", lambda x: jnp.cumprod(x, 0), [(0,)], FEW),
    ("cummax", lambda x: lax.cummax(x), [(0, 2)], FEW),
    ("associative_scan", lambda x: lax.associative_scan(jnp.add, x), [(0, 3)], FEW),
    ("reduce_window_sum", windows(lax.add, 0), [(0, 3)], FEW),
    ("reduce_window_max", windows(lax.max, 0), [(0, 3)], FEW),
    ("reduce_window_of_empty_rows", windows(lax.add, 0), [(3, 0)], FEW),
    ("sort", lambda x: lax.sort(x, dimension=0), [(0, 3)], ALL_KINDS),
    ("sort_of_empty_rows", lambda x: lax.sort(x, dimension=0), [(3, 0)], ALL_KINDS),
    ("sort_two", lambda x, y: lax.sort((x, y), dimension=0), [(0, 3), (0, 3)], FEW),
    ("argsort", lambda x: jnp.argsort(x, axis=0), [(0, 3)], FEW),
    ("top_k", lambda x: lax.top_k(x, 0), [(3, 4)], FEW),
    ("top_k_of_empty_rows", lambda x: lax.top_k(x, 2), [(0, 4)], FEW),
    ("dot_of_nothing", jnp.matmul, [(3, 0), (0, 4)], ALL_KINDS),
    ("dot_no_rows", jnp.matmul, [(0, 5), (5, 4)], ALL_KINDS),
    ("dot_no_batch", jnp.matmul, [(0, 2, 5), (0, 5, 4)], FEW),
    ("dot_vectors", jnp.dot, [(0,), (0,)], FEW),
    ("ragged_dot", lambda x, y: lax.ragged_dot(x, y, jnp.zeros(3, jnp.int32)), [(0, 4), (3, 4, 2)], ("float32",)),
    ("convolution_no_batch", convolve, [(0, 2, 5), (3, 2, 3)], FEW),
    ("convolution_no_positions", lambda x, k: convolve(x, k, padding=[(2, 2)]), [(2, 3, 0), (4, 3, 2)], FEW),
    ("convolution_no_inputs", convolve, [(2, 0, 5), (3, 0, 3)], FEW),
    ("convolution_no_outputs", convolve, [(2, 3, 5), (0, 3, 3)], FEW),
    ("fft", jnp.fft.fft, [(0, 4)], ("complex64", "float32")),
    ("irfft_of_one_bin", jnp.fft.irfft, [(2, 1)], ("complex64",)),
    ("cholesky", lax.linalg.cholesky, [(0, 0)], ("float32", "complex64")),
    ("cholesky_no_batch", lax.linalg.cholesky, [(0, 3, 3)], ("float32",)),
    ("triangular_solve",
     lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True), [(0, 0), (0, 2)], ("float32",)),
    ("triangular_solve_no_columns",
     lambda a, b: lax.linalg.triangular_solve(jnp.eye(3) + a, b, left_side=True), [(3, 3), (3, 0)], ("float32",)),
    ("solve_no_columns", lambda a, b: jnp.linalg.solve(jnp.eye(3) + a, b), [(3, 3), (3, 0)], ("float32",)),
    ("det_no_batch", jnp.linalg.det, [(0, 3, 3)], ("float32",)),
    ("svd_no_batch", lambda a: jnp.linalg.svd(a, compute_uv=False), [(0, 3, 2)], ("float32",)),
    ("inv_of_nothing", jnp.linalg.inv, [(0, 0)], ("float32",)),
    ("while", loop, [(0, 3)], FEW),
    ("scan_no_steps", scan, [(0, 3)], FEW),
    ("scan_of_empty_rows", scan, [(3, 0)], FEW),
    ("cond", lambda x: lax.cond(True, lambda y: y + y, lambda y: y, x), [(0, 3)], FEW),
    ("map", lambda x: lax.map(jnp.sum, x), [(0, 3)], FEW),
    ("vmap", jax.vmap(lambda x: jnp.sum(x) + x), [(0, 3)], FEW),
    ("iota", lambda x: lax.iota(x.dtype, 0) + x, [(0,)], FEW),
    ("one_hot", lambda x: jax.nn.one_hot(x, 0), [(3,)], ("int32",)),
    ("eye", lambda x: jnp.eye(0, dtype=x.dtype) + x, [(0, 0)], FEW),
    ("tril", jnp.tril, [(0, 3)], FEW),
    ("outer", jnp.outer, [(0,), (3,)], FEW),
    ("kron", jnp.kron, [(0, 2), (2, 3)], FEW),
    ("median_of_empty_rows", lambda x: jnp.median(x, 1), [(0, 3)], ("float32",)),
    ("unique", lambda x: jnp.unique(x, size=2, fill_value=7), [(0,)], FEW),
    ("searchsorted", jnp.searchsorted, [(0,), (3,)], FEW),
    ("searchsorted_nothing", jnp.searchsorted, [(3,), (0,)], FEW),
    ("split", lambda x: jnp.split(x, 3, axis=1), [(0, 3)], FEW),
    ("interp_nothing", lambda x, y: jnp.interp(x, jnp.arange(3.0), y), [(0,), (3,)], ("float32",)),
    ("segment_sum", lambda x: jax.ops.segment_sum(x, jnp.zeros((0,), int), 3), [(0, 2)], FEW),
    ("random_bits", lambda x: jax.random.bits(jax.random.key(0), (0, 3)), [(0,)], ("float32",)),
    ("random_normal", lambda x: jax.random.normal(jax.random.key(0), (2, 0)), [(0,)], ("float32",)),
    ("select_and_scatter", lambda x: jax.vjp(windows(lax.max, -np.inf), x)[1](jnp.ones((0, 3))), [(0, 3)], ("float32",)),
]  # fmt: skip

WITHOUT_GRADIENT = {"scatter_into_nothing", "reduce_window_max", "irfft_of_one_bin", "argmax_of_empty_rows", "argsort", "bitcast", "unique", "searchsorted", "searchsorted_nothing",
                    "random_bits", "random_normal", "one_hot", "select_and_scatter", "all_any", "general_reduction",
                    "two_operand_reduction", "while"}  # fmt: skip  JAX has no gradient

CASES = [
    *(
        Case(name, function, [normal(*shape) for shape in shapes], dtypes, gradient=name not in WITHOUT_GRADIENT)
        for name, function, shapes, dtypes in EMPTY
    ),
    Case("constant", lambda x: jnp.zeros((0, 3)) + x, [fixed(np.zeros((0, 3)))]),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
