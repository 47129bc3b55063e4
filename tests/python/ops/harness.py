"""Declares op tests and runs them against XLA:CPU of the same jaxlib.

A module lists ``Case`` objects and ends with ``test_value, test_gradient = suite(CASES)``.
Every case is run once for each of its dtypes, compiled and eagerly, and is compared with
XLA:CPU on dtype, shape, values (positions of NaN and signs of zeros too) and on where the
result lives.  Integers, booleans and bit patterns must be equal; floating-point results
obey ``TOLERANCE``, the only place where tolerances are stated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

Argument = Callable[[np.random.Generator, np.dtype], Any]

BOOL = ("bool",)
INT4 = ("int4", "uint4")
SIGNED = ("int8", "int16", "int32")
UNSIGNED = ("uint8", "uint16", "uint32")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float32", "bfloat16", "float16")
COMPLEX = ("complex64",)
INEXACT = FLOATS + COMPLEX
NUMBERS = INTEGERS + INEXACT
ALL = BOOL + NUMBERS
SIGNED64 = ("int64",)
INTEGERS64 = ("int64", "uint64")
FLOATS64 = ("float64",)
NUMBERS64 = INTEGERS64 + FLOATS64


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a result may be from XLA:CPU's, relative to its magnitude."""

    value: float
    gradient: float


# The one table of tolerances.  They are relative to each element, of gradients too.  Results of
# sums (``Case.accumulates``) may be off by more where terms cancel: values by that part of the
# largest element, taken as at least 1, the size of the terms; gradients by an eighth of that part
# of the largest element of the same argument's gradient.
#   float32   24 ulp: MLX's and XLA's polynomials for exp and sigmoid are 8 ulp apart.
#   halves    4 ulp: XLA:CPU fuses in float32, eager results round after each op.
#   float64   MLX's compositions for exp and sin reach 4e-14 (170 ulp).
TOLERANCE = {
    "float32": Tolerance(value=3e-6, gradient=1e-5),
    "complex64": Tolerance(value=3e-6, gradient=1e-5),
    "bfloat16": Tolerance(value=4 * 2.0**-7, gradient=8 * 2.0**-7),
    "float16": Tolerance(value=4 * 2.0**-10, gradient=8 * 2.0**-10),
    "float64": Tolerance(value=2e-13, gradient=1e-12),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One function with its arguments, run for each of its dtypes.

    ``arguments`` are makers that take a random generator and the dtype of the run.
    ``accumulates``: the result is a sum or comes from an iteration, its error is measured
    against the largest element of the result.
    ``conditioning``: the factor by which the function itself magnifies rounding of its
    inputs; 1 unless the mathematics says otherwise.
    ``signed_zeros``: signs of zeros must agree.
    """

    name: str
    function: Callable[..., Any]
    arguments: Sequence[Argument] = ()
    dtypes: Sequence[str] = ("float32",)
    gradient: bool = False
    accumulates: bool = False
    conditioning: float = 1.0
    signed_zeros: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
    """A case at one dtype."""

    case: Case
    dtype: np.dtype

    @property
    def name(self) -> str:
        return f"{self.case.name}-{self.dtype.name}"

    @functools.cached_property
    def arguments(self) -> tuple[Any, ...]:
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        with np.errstate(all="ignore"):
            return tuple(make(generator, self.dtype) for make in self.case.arguments)

    @property
    def differentiable(self) -> tuple[int, ...]:
        return tuple(
            position
            for position, argument in enumerate(self.arguments)
            if is_inexact(np.asarray(argument).dtype)
        )


# Argument makers


def normal(*shape: int, dtype: str | None = None) -> Argument:
    """Standard normal numbers, small integers, or random booleans."""

    def make(generator: np.random.Generator, run_dtype: np.dtype) -> np.ndarray:
        wanted = np.dtype(dtype or run_dtype)
        if wanted == np.bool_:
            return np.asarray(generator.random(shape) < 0.5)
        if not is_inexact(wanted):
            low, high = limits(wanted)
            low, high = max(low, -9), min(high, 9)
            return np.asarray(generator.integers(low, high, size=shape, endpoint=True), wanted)
        values = generator.standard_normal(shape)
        if np.issubdtype(wanted, np.complexfloating):
            values = values + 1j * generator.standard_normal(shape)
        return np.asarray(values).astype(wanted)

    return make


def uniform(low: float, high: float, *shape: int, dtype: str | None = None) -> Argument:
    """Real numbers between ``low`` and ``high``; both parts of complex numbers."""

    def make(generator: np.random.Generator, run_dtype: np.dtype) -> np.ndarray:
        wanted = np.dtype(dtype or run_dtype)
        if not is_inexact(wanted):
            integers = generator.integers(int(low), int(high), size=shape, endpoint=True)
            return np.asarray(integers, wanted)
        values = generator.uniform(low, high, size=shape)
        if np.issubdtype(wanted, np.complexfloating):
            values = values + 1j * generator.uniform(low, high, size=shape)
        return np.asarray(values).astype(wanted)

    return make


def full_range(*shape: int, dtype: str | None = None) -> Argument:
    """Integers from the whole range of the dtype."""

    def make(generator: np.random.Generator, run_dtype: np.dtype) -> np.ndarray:
        wanted = np.dtype(dtype or run_dtype)
        if wanted == np.bool_:
            return np.asarray(generator.random(shape) < 0.5)
        low, high = limits(wanted)
        wide = np.uint64 if low == 0 else np.int64
        values = generator.integers(low, high, size=shape, endpoint=True, dtype=wide)
        return np.asarray(values).astype(wanted)

    return make


def distinct(*shape: int) -> Argument:
    """A permutation of consecutive numbers: no ties, exact in every dtype used."""

    def make(generator: np.random.Generator, run_dtype: np.dtype) -> np.ndarray:
        size = int(np.prod(shape))
        return generator.permutation(size).reshape(shape).astype(run_dtype)

    return make


def fixed(value: Any, dtype: str | None = None) -> Argument:
    """The given values in the dtype of the run, or in ``dtype``."""

    def make(_: np.random.Generator, run_dtype: np.dtype) -> np.ndarray:
        return np.asarray(value).astype(np.dtype(dtype or run_dtype))

    return make


def special_values(dtype: np.dtype, huge: bool = True) -> np.ndarray:
    """The values where an op of this dtype is likely to go wrong."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return np.array([False, True])
    if np.issubdtype(dtype, np.complexfloating):
        parts = special_values(np.finfo(dtype).dtype, huge)
        real, imaginary = np.meshgrid(parts, parts, indexing="ij")
        result = np.empty(real.shape, dtype)
        result.real, result.imag = real, imaginary
        return result.ravel()
    if is_inexact(dtype):
        info = ml_dtypes.finfo(dtype)
        values = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, 2.5, -2.5, 3.0, -7.0]
        values += [float(info.eps), np.inf, -np.inf, np.nan]
        if huge:
            values += [float(info.max), float(info.min), float(info.tiny), -float(info.tiny)]
        return np.array(values).astype(dtype)
    low, high = limits(dtype)
    values = {low, low + 1, 0, 1, 2, 3, 7, high - 1, high, high // 2}
    values |= {-1, -2, -3, -7} if low < 0 else set()
    chosen = sorted(value for value in values if low <= value <= high)
    return np.array(chosen, np.uint64 if low == 0 else np.int64).astype(dtype)


def specials(huge: bool = True) -> Argument:
    """All special values of the dtype."""
    return lambda _, dtype: special_values(dtype, huge)


def special_pairs(huge: bool = True) -> tuple[Argument, Argument]:
    """Two arguments that together hold each pair of special values."""

    def left(_: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        values = special_values(dtype, huge)
        return np.repeat(values, len(values))

    def right(_: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        values = special_values(dtype, huge)
        return np.tile(values, len(values))

    return left, right


def is_inexact(dtype: np.dtype) -> bool:
    return jax.dtypes.issubdtype(dtype, np.inexact)


def limits(dtype: np.dtype) -> tuple[int, int]:
    """The smallest and the largest integer of ``dtype``."""
    if np.dtype(dtype) == np.bool_:
        return 0, 1
    info = ml_dtypes.iinfo(dtype)
    return int(info.min), int(info.max)


# Running


def device_under_test() -> jax.Device:
    return jax.devices(os.environ["JAX_MPS_TEST_PLATFORM"])[0]


def reference_device() -> jax.Device:
    return jax.devices("cpu")[0]


def precision_of(dtype: np.dtype) -> contextlib.AbstractContextManager[Any]:
    """64-bit types exist only while x64 is on."""
    return jax.enable_x64(np.dtype(dtype).name in (*NUMBERS64, "complex128"))


def evaluate(function: Callable[..., Any], arguments: Iterable[Any], device: jax.Device) -> Any:
    """Calls ``function`` with the arguments on ``device`` and waits for the result."""
    with jax.default_device(device):
        placed = [jax.device_put(argument, device) for argument in arguments]
        return jax.block_until_ready(function(*placed))


def pullback(run: Run, device: jax.Device) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The reverse-mode derivative of a case, and its arguments with random cotangents."""
    chosen = run.differentiable
    count = len(run.arguments)

    def inexact_results(*arguments: Any) -> list[Any]:
        leaves = jax.tree.leaves(run.case.function(*arguments))
        return [leaf for leaf in leaves if is_inexact(leaf.dtype)]

    def function(*everything: Any) -> Any:
        arguments, cotangents = everything[:count], everything[count:]

        def partial(*values: Any) -> list[Any]:
            merged = list(arguments)
            for position, value in zip(chosen, values, strict=True):
                merged[position] = value
            return inexact_results(*merged)

        _, pull = jax.vjp(partial, *(arguments[position] for position in chosen))
        return pull(list(cotangents))

    with jax.default_device(device):
        shapes = jax.eval_shape(inexact_results, *run.arguments)
    generator = np.random.default_rng(zlib.crc32(f"{run.name} cotangents".encode()))
    cotangents = tuple(normal(*shape.shape)(generator, shape.dtype) for shape in shapes)
    assert cotangents, f"{run.name} has no differentiable result"
    return function, (*run.arguments, *cotangents)


# Comparing


def differences(
    got: Any, want: Any, *, gradient: bool, accumulates: bool, conditioning: float, zeros: bool
) -> list[str]:
    """What is wrong with ``got``, in words; empty when it agrees with ``want``."""
    got_leaves, got_tree = jax.tree.flatten(got)
    want_leaves, want_tree = jax.tree.flatten(want)
    if got_tree != want_tree:
        return [f"structure {got_tree}, expected {want_tree}"]
    problems = []
    for index, (one, other) in enumerate(zip(got_leaves, want_leaves, strict=True)):
        where = f"result {index}: " if len(want_leaves) > 1 else ""
        if one.devices() != {device_under_test()}:
            problems.append(f"{where}lives on {one.devices()}")
        if jax.dtypes.issubdtype(other.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        if one.dtype != other.dtype or one.shape != other.shape:
            problems.append(
                f"{where}is {one.dtype}{list(one.shape)},"
                f" expected {other.dtype}{list(other.shape)}"
            )
            continue
        problem = difference(
            np.asarray(one), np.asarray(other), gradient, accumulates, conditioning, zeros
        )
        if problem:
            problems.append(where + problem)
    return problems


def difference(
    got: np.ndarray,
    want: np.ndarray,
    gradient: bool = False,
    accumulates: bool = False,
    conditioning: float = 1.0,
    zeros: bool = False,
) -> str | None:
    """How two arrays of one dtype and shape differ beyond the tolerance."""
    if want.dtype == jax.dtypes.float0:
        return None
    if not is_inexact(want.dtype):
        return describe(got, want, got != want, "differ")
    tolerance = TOLERANCE[want.dtype.name]
    bound = (tolerance.gradient if gradient else tolerance.value) * conditioning
    is_complex = np.issubdtype(want.dtype, np.complexfloating)
    exact = np.complex128 if is_complex else np.float64
    one, other = got.astype(exact), want.astype(exact)
    if problem := describe(got, want, np.isnan(one) != np.isnan(other), "NaN in other places"):
        return problem
    number = ~np.isnan(other)
    infinite = number & (np.isinf(one) | np.isinf(other))
    parts = [(one.real, other.real), (one.imag, other.imag)] if is_complex else [(one, other)]
    wrong = np.zeros(want.shape, bool)
    for left, right in parts:
        wrong |= infinite & (np.isinf(left) | np.isinf(right)) & (left != right)
    if problem := describe(got, want, wrong, "infinite in other places"):
        return problem
    finite = number & ~infinite
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(finite, np.abs(np.where(finite, one - other, 0)), 0)
        magnitude = np.abs(np.where(finite, other, 0))
    if accumulates and magnitude.size:
        # Terms may cancel. Those of values are of order 1, as the arguments are.
        largest = magnitude.max()
        magnitude = magnitude + largest / 8 if gradient else np.maximum(magnitude, max(largest, 1.0))
    # XLA:CPU flushes denormal numbers to zero, MLX keeps them.
    smallest = 2 * float(ml_dtypes.finfo(want.dtype).tiny)
    if accumulates and gradient:
        # Terms of order 1 may cancel altogether.
        smallest += 4 * float(ml_dtypes.finfo(want.dtype).eps)
    problem = describe(got, want, distance > bound * magnitude + smallest, f"differ by > {bound:g}")
    if problem:
        return problem
    if zeros:
        for left, right in parts:
            both = (left == 0) & (right == 0)
            wrong |= both & (np.signbit(left) != np.signbit(right))
        return describe(got, want, wrong, "differ in the sign of zero")
    return None


def describe(got: np.ndarray, want: np.ndarray, wrong: np.ndarray, what: str) -> str | None:
    if not np.any(wrong):
        return None
    places = np.argwhere(wrong)[:4]
    examples = "; ".join(
        f"{list(map(int, place))}: got {got[tuple(place)]}, expected {want[tuple(place)]}"
        for place in places
    )
    return f"{int(np.sum(wrong))} of {wrong.size} {what}: {examples}"


def check(
    run: Run, function: Callable[..., Any], arguments: Sequence[Any], *, gradient: bool
) -> None:
    """Runs compiled and eagerly on the device under test and compares both with XLA:CPU."""
    case = run.case
    want = evaluate(jax.jit(function), arguments, reference_device())
    problems, cause = [], None
    for mode, callable_ in (("jit", jax.jit(function)), ("eager", function)):
        try:
            got = evaluate(callable_, arguments, device_under_test())
        except Exception as error:  # noqa: BLE001  every arm is reported, then the test fails
            cause = error
            lines = str(error).strip().splitlines() or [""]
            problems.append(f"{mode}: {type(error).__name__}: {' '.join(lines[:2])}")
            continue
        problems += [
            f"{mode}: {problem}"
            for problem in differences(
                got,
                want,
                gradient=gradient,
                accumulates=case.accumulates,
                conditioning=case.conditioning,
                zeros=case.signed_zeros and not gradient,
            )
        ]
    if problems:
        raise AssertionError("\n".join([run.name, *problems])) from cause


def check_value(run: Run) -> None:
    with precision_of(run.dtype):
        check(run, run.case.function, run.arguments, gradient=False)


def check_gradient(run: Run) -> None:
    with precision_of(run.dtype):
        function, arguments = pullback(run, reference_device())
        check(run, function, arguments, gradient=True)


def runs_of(cases: Iterable[Case]) -> list[Run]:
    runs = [Run(case, np.dtype(dtype)) for case in cases for dtype in case.dtypes]
    names = [run.name for run in runs]
    repeated = {name for name in names if names.count(name) > 1}
    assert not repeated, f"cases of the same name: {sorted(repeated)}"
    return runs


def suite(cases: Iterable[Case]) -> tuple[Callable[..., None], Callable[..., None]]:
    """The two test functions of a module: values, and gradients where there are any."""
    runs = runs_of(cases)
    smooth = [run for run in runs if run.case.gradient and is_inexact(run.dtype)]

    @pytest.mark.parametrize("run", runs, ids=lambda run: run.name)
    def test_value(run: Run) -> None:
        check_value(run)

    @pytest.mark.parametrize("run", smooth, ids=lambda run: run.name)
    def test_gradient(run: Run) -> None:
        check_gradient(run)

    return test_value, test_gradient


def value_suite(cases: Iterable[Case]) -> Callable[..., None]:
    """The test function of a module without derivatives."""
    return suite(cases)[0]
