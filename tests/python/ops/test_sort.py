"""sort with several operands, keys and any comparator; top_k (src/lower/sort)."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import ALL, FLOATS, Case, distinct, fixed, full_range, normal, specials, suite

FEW = ("float32", "int32")
NANS = [3, np.nan, -np.inf, 0.0, -0.0, np.inf, -1, -np.nan, 2, 0.0]

CASES = [
    Case("last_axis", lambda x: lax.sort(x, dimension=1), [normal(3, 7)], ALL),
    Case("first_axis", lambda x: lax.sort(x, dimension=0), [normal(7, 3)], FEW),
    Case("full_range", lambda x: lax.sort(x), [full_range(40)],
         ("int8", "uint8", "int16", "uint16", "int32", "uint32")),
    Case("specials", lambda x: lax.sort(x), [specials()], FLOATS),
    Case("nans_last", lambda x: lax.sort(x), [fixed(NANS)], FLOATS),
    Case("zeros_keep_their_order", lambda x: lax.sort((x, jnp.arange(10)), num_keys=1), [fixed(NANS)],
         FLOATS, signed_zeros=True),
    Case("gradient", lambda x: lax.sort(x, dimension=1), [distinct(3, 7)], FLOATS, gradient=True),
    Case("empty", lambda x: lax.sort(x), [normal(0)], FEW),
    Case("one", lambda x: lax.sort(x, dimension=0), [normal(1, 3)], FEW),
    Case("three_dimensions", lambda x: lax.sort(x, dimension=1), [normal(2, 5, 3)], FEW),
    Case("stable_with_payload", lambda k, v: lax.sort((k, v), num_keys=1, is_stable=True),
         [normal(40, dtype="int8"), distinct(40)], FEW),
    Case("payload_gradient", lambda k, v: lax.sort((k, v), num_keys=1), [distinct(9), normal(9)],
         gradient=True),
    Case("two_keys", lambda a, b, v: lax.sort((a, b, v), num_keys=2),
         [normal(40), normal(40), distinct(40)], (*FEW, "bool", "uint8")),
    Case("three_keys_mixed", lambda a, b, c, v: lax.sort((a, b, c, v), num_keys=3),
         [normal(60, dtype="bool"), normal(60, dtype="int8"), normal(60), distinct(60)], FEW),
    Case("two_keys_with_nans", lambda a, b, v: lax.sort((a, b, v), num_keys=2),
         [fixed(NANS * 2), fixed(sorted(NANS * 2, key=str)), distinct(20)], FLOATS),
    Case("complex_specials", lambda x: lax.sort(x),
         [fixed([1 + 2j, 1 - 2j, 0 + 0j, -1 + 5j, 1 + 0j, np.inf + 1j, -3, 1 + 2j])], ("complex64",)),
    Case("two_operands_one_axis", lambda a, b: lax.sort((a, b), dimension=0, num_keys=1),
         [distinct(6, 2), normal(6, 2)], FEW),
    Case("argsort", lambda x: jnp.argsort(x, axis=1), [normal(3, 9)], (*FEW, "uint8", "bool", "float16")),
    Case("argsort_descending", lambda x: jnp.argsort(x, descending=True), [normal(9)], (*FEW, "int8")),
    Case("sort_descending", lambda x: jnp.sort(x, descending=True), [normal(9)], (*FEW, "uint8", "bool")),
    Case("lexsort", lambda a, b: jnp.lexsort((a, b)), [normal(20), normal(20)], ("int32", "float32")),
    Case("top_k", lambda x: lax.top_k(x, 3), [distinct(4, 9)],
         ("float32", "bfloat16", "int32", "uint8", "int8"), gradient=True),
    Case("top_k_ties", lambda x: lax.top_k(x, 4), [normal(3, 12)], ("int32", "int8", "uint32")),
    Case("top_k_nan", lambda x: lax.top_k(x, 4), [fixed([1, np.nan, 3, -np.inf, np.inf, np.nan])], FLOATS),
    Case("top_k_all", lambda x: lax.top_k(x, 5), [distinct(5)], FEW),
    Case("top_k_none", lambda x: lax.top_k(x, 0), [distinct(5)], FEW),
    Case("approx_max_k", lambda x: lax.approx_max_k(x, 2), [distinct(2, 8)], ("float32",)),
    Case("median", lambda x: jnp.median(x, axis=1), [normal(3, 6)], ("float32",), gradient=True),
    Case("unique_of_size", lambda x: jnp.unique(x, size=6, fill_value=0), [normal(12)], FEW),
    Case("searchsorted", lambda x, v: jnp.searchsorted(jnp.sort(x), v), [normal(12), normal(5)], FEW),
    Case("long", lambda x: lax.sort(x), [normal(2000)], ("float32", "int32")),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
