"""Random bits, exactly those of XLA:CPU, and what jax.random builds on them
(src/lower/random_bits)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import Case, fixed, full_range, value_suite

Algorithm = lax.RandomAlgorithm

ALGORITHMS = [
    ("default", Algorithm.RNG_DEFAULT),
    ("threefry", Algorithm.RNG_THREE_FRY),
    ("philox", Algorithm.RNG_PHILOX),
]

SHAPES = [(), (1,), (7,), (3, 5), (0, 4), (64,)]


def bits(shape, algorithm):
    """The generator wants its state as uint32 pairs; both the state and the bits are compared."""
    return lambda key, like: lax.rng_bit_generator(key, shape, like.dtype, algorithm)


def keyed(function, implementation="threefry2x32"):
    """``function`` of a key that is made of two (or four) random words."""
    return lambda data: function(jax.random.wrap_key_data(data, impl=implementation))


DISTRIBUTIONS = [
    ("bits", lambda key: jax.random.bits(key, (7,))),
    ("bits_uint8", lambda key: jax.random.bits(key, (7,), "uint8")),
    ("bits_uint16", lambda key: jax.random.bits(key, (3, 3), "uint16")),
    ("split", lambda key: jax.random.key_data(jax.random.split(key, 5))),
    ("fold_in", lambda key: jax.random.key_data(jax.random.fold_in(key, 17))),
    ("uniform", lambda key: jax.random.uniform(key, (33,))),
    ("uniform_bfloat16", lambda key: jax.random.uniform(key, (33,), "bfloat16")),
    ("uniform_float16", lambda key: jax.random.uniform(key, (33,), "float16")),
    ("randint", lambda key: jax.random.randint(key, (33,), -5, 1000)),
    ("randint_int8", lambda key: jax.random.randint(key, (33,), -128, 127, "int8")),
    ("bernoulli", lambda key: jax.random.bernoulli(key, 0.3, (33,))),
    ("permutation", lambda key: jax.random.permutation(key, 17)),
    ("choice", lambda key: jax.random.choice(key, 17, (5,), replace=False)),
    ("normal", lambda key: jax.random.normal(key, (33,))),
    ("truncated_normal", lambda key: jax.random.truncated_normal(key, -1, 2, (33,))),
    ("exponential", lambda key: jax.random.exponential(key, (33,))),
    ("gumbel", lambda key: jax.random.gumbel(key, (33,))),
    ("categorical", lambda key: jax.random.categorical(key, jnp.arange(5.0), shape=(33,))),
    ("gamma", lambda key: jax.random.gamma(key, 2.5, (9,))),
    ("poisson", lambda key: jax.random.poisson(key, 3.0, (9,))),
    ("dropout_mask", lambda key: jnp.where(jax.random.bernoulli(key, 0.5, (9,)), 2.0, 0.0)),
]

CASES = [
    *(
        Case(f"{name}_{'x'.join(map(str, shape)) or 'scalar'}", bits(shape, algorithm),
             [full_range(4, dtype="uint32"), fixed(0)],
             ("uint32", "uint8", "uint16") if shape == (7,) else ("uint32",))
        for name, algorithm in ALGORITHMS
        for shape in SHAPES
        if name != "default" or shape in ((7,), (64,))
    ),
    *(
        Case(f"counter_wraps_{name}", bits((9,), algorithm),
             [fixed(np.full(4, 2**32 - 1), "uint32"), fixed(0)], ("uint32",))
        for name, algorithm in ALGORITHMS
    ),
    *(
        Case(name, keyed(function), [full_range(2, dtype="uint32")], accumulates=True)
        for name, function in DISTRIBUTIONS
    ),
    *(
        Case(f"rbg_{name}", keyed(function, "rbg"), [full_range(4, dtype="uint32")], accumulates=True)
        for name, function in DISTRIBUTIONS
        if name in {"bits", "bits_uint8", "split", "fold_in", "uniform", "randint", "normal"}
    ),
    Case("unsafe_rbg_split",
         keyed(lambda key: jax.random.key_data(jax.random.split(key, 3)), "unsafe_rbg"),
         [full_range(4, dtype="uint32")]),
    Case("vmapped_rbg", jax.vmap(keyed(lambda key: jax.random.bits(key, (5,)), "rbg")),
         [full_range(3, 4, dtype="uint32")]),
    Case("seed", lambda seed: jax.random.key_data(jax.random.key(seed)), [fixed(-7, "int32")]),
    Case("vmapped_keys",
         jax.vmap(keyed(functools.partial(jax.random.uniform, shape=(4,)))),
         [full_range(3, 2, dtype="uint32")]),
]  # fmt: skip

test_value = value_suite(CASES)
