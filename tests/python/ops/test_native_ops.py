"""Ops as native code of the host: the cases of the other modules, within a loop.

A program with a loop runs as native code whole, if the compiler knows all ops in it; its plan
has one step then. Types are sampled: with ``JAX_MPS_PLACE=host`` the other modules run so for all.
"""

import os
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ops import (
    harness,
    test_collectives,
    test_convolution,
    test_dot_general,
    test_dynamic_slices,
    test_empty,
    test_fft,
    test_gather,
    test_linalg,
    test_random_bits,
    test_reduce,
    test_reduce_window,
    test_scatter,
    test_select_and_scatter,
    test_sort,
)

PLATFORM = os.environ["JAX_MPS_TEST_PLATFORM"]

MODULES = {
    "collectives": test_collectives,
    "convolution": test_convolution,
    "dot_general": test_dot_general,
    "dynamic_slices": test_dynamic_slices,
    "empty": test_empty,
    "fft": test_fft,
    "gather": test_gather,
    "linalg": test_linalg,
    "random_bits": test_random_bits,
    "reduce": test_reduce,
    "reduce_window": test_reduce_window,
    "scatter": test_scatter,
    "select_and_scatter": test_select_and_scatter,
    "sort": test_sort,
}


def in_loop(function):
    """The second of two turns computes the function; the first does so for zeros."""

    def looped(*arguments):
        # Keys of random numbers stay what they are.
        first = [_zeros(argument) for argument in arguments]
        result = jax.eval_shape(function, *arguments)
        initial = jax.tree.map(lambda leaf: lax.full(leaf.shape, 0, leaf.dtype), result)

        def turn(count, state):
            chosen = [
                argument if zeros is None else lax.select(count < 1, zeros, argument)
                for zeros, argument in zip(first, state[0], strict=True)
            ]
            return state[0], function(*chosen)

        return lax.fori_loop(0, 2, turn, (list(arguments), initial))[1]

    return looped


def _zeros(argument):
    if jax.dtypes.issubdtype(jnp.asarray(argument).dtype, jax.dtypes.prng_key):
        return None
    return jnp.zeros_like(argument)


def runs():
    for name, module in MODULES.items():
        for case in module.CASES:
            dtype = case.dtypes[zlib.crc32(case.name.encode()) % len(case.dtypes)]
            run = harness.Run(case, np.dtype(dtype))
            yield pytest.param(run, id=f"{name}-{run.name}")


@pytest.mark.parametrize("run", list(runs()))
def test_value(run, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_MPS_PLACE", "host")
    monkeypatch.delenv("JAX_MPS_DUMP_STAGE", raising=False)
    case = run.case
    with harness.precision_of(run.dtype):
        function = in_loop(case.function)
        want = harness.evaluate(
            jax.jit(case.function), run.arguments, harness.reference_device()
        )
        options = {"xla_dump_to": str(tmp_path)} if PLATFORM == "mps" else {}
        compiled = jax.jit(function, compiler_options=options)
        got = harness.evaluate(compiled, run.arguments, harness.device_under_test())
        problems = harness.differences(
            got,
            want,
            gradient=False,
            accumulates=case.accumulates,
            conditioning=case.conditioning,
            zeros=case.signed_zeros,
        )
    assert not problems, "\n".join(problems)
    if PLATFORM == "mps":
        plans = [path.read_text() for path in tmp_path.glob("*plan*")]
        others = [plan for plan in plans if "native." not in plan]
        assert plans and not others, "\n".join(others)


def test_what_loops_only_read_is_not_updated_in_place(monkeypatch):
    monkeypatch.setenv("JAX_MPS_PLACE", "host")

    def function(a, turns):
        # Made outside, and used once within: at every turn.
        constant = a * jnp.sum(jnp.sin(a))

        def turn(index, state):
            return state + lax.dynamic_update_slice(constant, state[:1] * 0 + 100, (index,))

        return lax.fori_loop(0, turns, turn, a * 0)

    arguments = (jnp.arange(5.0), 3)
    got, want = (
        harness.evaluate(jax.jit(function), arguments, device)
        for device in (harness.device_under_test(), harness.reference_device())
    )
    assert not harness.difference(np.asarray(got), np.asarray(want))
