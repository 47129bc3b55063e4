"""How sensitive a program is: its jaxpr, evaluated with each rounding of each primitive off by a little.

Primitives that move data or are exact add nothing. Arithmetic adds an ulp or two, functions what the tolerance of the
tests of the ops allows them, and sums that much on each of their terms, because terms that cancel leave the terms' errors.
Primitives that JAX lowers to a program of many (igamma) are evaluated as that program.
Where denormal numbers are on the way each becomes zero or the smallest normal number of either sign: XLA:CPU flushes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax
from jax._src.lax import special  # what JAX lowers to has no public name
from jax.extend import core

from fuzz import documented
from fuzz.harness import TOLERANCE

LAYOUT = frozenset(
    "reshape broadcast_in_dim transpose squeeze expand_dims slice dynamic_slice dynamic_update_slice gather scatter"
    " concatenate split pad rev select_n copy copy_p device_put optimization_barrier iota real imag complex"
    " bitcast_convert_type random_bits random_seed random_wrap random_unwrap random_split random_fold_in threefry2x32"
    " rng_bit_generator stop_gradient sharding_constraint".split()
)
EXACT = LAYOUT | frozenset(
    "neg abs sign floor ceil round max min clamp convert_element_type reduce_max reduce_min cummax cummin argmax argmin"
    " sort top_k approx_top_k conj reduce_precision is_finite reduce_window_max reduce_window_min reduce_and reduce_or"
    " select_and_gather_add select_and_scatter_add nextafter eq ne lt le gt ge and or xor not scatter_max scatter_min"
    " scatter-max scatter-min while scan cond".split()
)
ARITHMETIC = frozenset("add sub mul add_any square".split())
SUMS = frozenset(
    "reduce_sum reduce_prod dot_general conv_general_dilated cumsum cumprod cumlogsumexp reduce_window_sum reduce_window"
    " fft scatter-add scatter-mul scatter-sub scatter_add scatter_mul scatter_sub triangular_solve cholesky lu eigh svd qr"
    " geqrf householder_product eig schur tridiagonal tridiagonal_solve reduce select_and_scatter select_and_scatter_add"
    " custom_linear_solve linear_solve".split()
)
CANCELLING = {"lgamma": 8.0, "digamma": 4.0}
"""Functions with zeros that are sums of terms of this size and more."""
COMPOSITES = {
    "igamma": special.igamma_impl,
    "igammac": special.igammac_impl,
    "igamma_grad_a": special.igamma_grad_a_impl,
    "random_gamma_grad": special.random_gamma_grad_impl,
    "regularized_incomplete_beta": special.regularized_incomplete_beta_impl,
}
"""Primitives that JAX lowers to the primitives of a function."""
CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Names under which primitives that only call hold what they call."""


class Noise:
    """``seed`` is a traced number; inside of loops, where it is out of reach, the values' own bits take its place.

    ``differences``: with what docs/ops.md documents (`documented`). ``loops``: inside of loops too.
    """

    def __init__(self, denormals: bool, differences: bool = False) -> None:
        self.denormals, self.differences, self.loops, self.count = denormals, differences, True, 0

    def see(self, results: list[Any]) -> None:
        """What a primitive gives without noise."""

    def apply(self, x: Any, amplitude: float, seed: Any) -> Any:
        """The array with each element changed by up to ``amplitude``, relative to its size."""
        name = getattr(x, "dtype", np.dtype(bool)).name
        if name not in TOLERANCE or x.size == 0:
            return x
        if name.startswith("complex"):
            size = jnp.where(jnp.isfinite(x), jnp.abs(x), 0)
            size = jnp.where(jnp.isfinite(size), size, 0)
            return lax.complex(self.part(lax.real(x), size, amplitude, seed), self.part(lax.imag(x), size, amplitude, seed))
        return self.part(x, x, amplitude, seed)

    def bits(self, x: Any, seed: Any) -> Any:
        """32 bits of chance for each element."""
        self.count += 1
        width = {2: np.uint16, 4: np.uint32, 8: np.uint64}[x.dtype.itemsize]
        bits = lax.bitcast_convert_type(x, width).astype(np.uint32) * np.uint32(2654435761)
        bits = bits + lax.iota(np.uint32, x.size).reshape(x.shape) * np.uint32(40503) + np.uint32(977 * self.count)
        bits = bits + seed * np.uint32(0x9E3779B9)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
        return bits ^ (bits >> np.uint32(16))

    def part(self, x: Any, size: Any, amplitude: float, seed: Any) -> Any:
        bits = self.bits(x, seed)
        # -1, -1/3, 1/3 or 1; in a wide type, for adding in bfloat16 would round it away or up.
        wide = np.float64 if x.dtype == np.float64 else np.float32
        level = ((bits & np.uint32(3)).astype(wide) - wide(1.5)) * wide(amplitude / 1.5)
        step = lax.stop_gradient(jnp.where(jnp.isfinite(x), level * jnp.where(jnp.isfinite(size), size, 0).astype(wide), 0))
        changed = (x.astype(wide) + step).astype(x.dtype)
        # Rounding to infinity is the noise's doing.
        changed = jnp.where(jnp.isfinite(changed) | ~jnp.isfinite(x), changed, x) if x.dtype.itemsize == 2 else changed
        if self.denormals:
            tiny = jnp.asarray(2 * float(ml_dtypes.finfo(x.dtype).tiny), x.dtype)
            third = (bits >> np.uint32(8)) % np.uint32(3)
            small = jnp.where(third == 0, 0 * x, jnp.where(third == 1, tiny, -tiny))
            changed = jnp.where(jnp.abs(x) < tiny, small, changed)
        return changed

    def differ(self, x: Any, mask: Any | None, name: str, seed: Any) -> Any:
        """The result of a primitive as a documented difference may have it."""
        if getattr(x, "dtype", np.dtype(bool)).name not in TOLERANCE or x.size == 0:
            return x
        parts = (lax.real(x), lax.imag(x)) if documented.is_complex(x) else (x,)
        # The first runs go through all choices of each element, so that none is left out by chance; the next do so with
        # the same choice everywhere; in the others each element goes its own way.
        turn = (seed << np.uint32(12)) + (seed >> np.uint32(2) << np.uint32(4))
        own = [self.bits(part, jnp.where(seed < np.uint32(32), np.uint32(0), seed)) for part in parts]
        bits = [jnp.where(seed < np.uint32(16), each + turn, jnp.where(seed < np.uint32(32), turn, each)) for each in own]
        parts = [documented.loosened(part, mask, name, each) for part, each in zip(parts, bits)]
        return lax.complex(*parts) if documented.is_complex(x) else parts[0]


class Denormals(Noise):
    """No noise: says in ``found`` whether a primitive gives a denormal number."""

    def __init__(self) -> None:
        super().__init__(False)
        self.found, self.loops = np.bool_(False), False

    def apply(self, x: Any, amplitude: float, seed: Any) -> Any:
        return x

    def see(self, results: list[Any]) -> None:
        for x in results:
            if getattr(x, "dtype", np.dtype(bool)).name not in TOLERANCE:
                continue
            for part in (lax.real(x), lax.imag(x)) if documented.is_complex(x) else (x,):
                self.found |= jnp.any(is_denormal(part))


def parts_of(x: Any) -> tuple[Any, Any]:
    return lax.real(x), lax.imag(x)


def amplitude_of(x: Any, arithmetic: bool) -> float:
    tolerance = TOLERANCE.get(getattr(x, "dtype", np.dtype(bool)).name)
    if tolerance is None:
        return 0.0
    if arithmetic:
        return 2.0 * float(ml_dtypes.finfo(x.dtype).eps)
    return tolerance.value


def evaluate(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any], noise: Noise, seed: Any) -> list[Any]:
    """`jax.core.eval_jaxpr` with noise."""
    known: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return np.asarray(atom.val, atom.aval.dtype) if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(jaxpr.constvars, constants))
    known.update(zip(jaxpr.invars, arguments))
    for equation in jaxpr.eqns:
        results = one(equation, [read(atom) for atom in equation.invars], noise, seed)
        known.update(zip(equation.outvars, results))
    return [read(atom) for atom in jaxpr.outvars]


def one(equation: Any, values: list[Any], noise: Noise, seed: Any) -> list[Any]:
    """The results of an equation with noise."""
    name, parameters = equation.primitive.name, dict(equation.params)
    if name in COMPOSITES:
        return [composite(COMPOSITES[name], values, noise, seed)]
    opens = False
    if name not in ("scan", "while", "cond"):
        for key in CALLS:
            inner = parameters.get(key)
            if isinstance(inner, core.ClosedJaxpr) and name not in SUMS:
                return evaluate(inner.jaxpr, inner.consts, values, noise, seed)
            if isinstance(inner, core.Jaxpr) and name not in SUMS:
                return evaluate(inner, (), values, noise, seed)
    elif opens := noise.loops and not converges(equation):
        for key in ("jaxpr", "cond_jaxpr", "body_jaxpr"):
            if key in parameters:
                parameters[key] = inside(parameters[key], noise)
        if "branches" in parameters:
            parameters["branches"] = tuple(inside(branch, noise) for branch in parameters["branches"])
    exact = values
    if name in SUMS or noise.denormals and name not in LAYOUT:
        values = [noise.apply(x, amplitude_of(x, False) if name in SUMS else 0.0, seed) for x in values]
    bound = equation.primitive.get_bind_params(parameters)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # releases of JAX differ
    bind = lambda *operands: equation.primitive.bind(*functions, *operands, **parameters)  # noqa: E731
    results = bind(*values)
    results = list(results) if equation.primitive.multiple_results else [results]
    noise.see(results)
    applied = name == "scatter" and parameters.get("update_jaxpr") is not None and parameters["update_jaxpr"].eqns
    silent = name in EXACT and not applied and (opens or name != "while")
    if silent and not (noise.denormals and name not in LAYOUT):
        return results
    if name == "sinh" and documented.is_complex(results[0]):  # the difference of two exponentials
        parts = [noise.part(part, jnp.abs(part) + 1, amplitude_of(part, False), seed) for part in parts_of(results[0])]
        results = [lax.complex(*parts)]
    if name in CANCELLING:
        size = jnp.abs(values[0]) + jnp.asarray(CANCELLING[name], values[0].dtype)
        results = [noise.part(x, size, amplitude_of(x, True), seed) for x in results]
    results = [noise.apply(x, 0.0 if silent else amplitude_of(x, name in ARITHMETIC), seed) for x in results]
    if applied:
        results = [jnp.where(result == values[0], values[0], noisy) for result, noisy in zip([bind(*values)], results)]
    if noise.differences and not silent:
        mask = documented.reached(name, parameters, exact, results[0], bind)
        results = [noise.differ(x, mask if index == 0 else None, name, seed) for index, x in enumerate(results)]
    return results


def composite(function: Callable[..., Any], values: list[Any], noise: Noise, seed: Any) -> Any:
    """A function of JAX's own with noise; in its loops none, for they end when a step changes nothing."""
    dtype = values[0].dtype
    wide = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    values = [value.astype(wide) for value in jnp.broadcast_arrays(*values)]
    closed = jax.make_jaxpr(lambda *operands: function(*operands, dtype=wide))(*values)
    before, noise.loops = noise.loops, False
    result = evaluate(closed.jaxpr, closed.consts, values, noise, seed)[0]
    noise.loops = before
    return result.astype(dtype)


def converges(equation: Any) -> bool:
    """Whether an equation is a loop that floats end: with noise in its body it may not end."""
    if equation.primitive.name != "while":
        return False
    condition = equation.params["cond_jaxpr"].jaxpr
    used = {id(atom) for inner in condition.eqns for atom in inner.invars}
    return any(id(v) in used and jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in condition.invars)


def inside(closed: Any, noise: Noise) -> Any:
    """The body of a loop or branch with noise."""

    def body(*arguments: Any) -> list[Any]:
        return evaluate(closed.jaxpr, closed.consts, arguments, noise, np.uint32(0))

    return jax.make_jaxpr(body)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.invars))


def normal(x: Any) -> Any:
    """The array with twice the smallest normal number in place of denormal ones."""
    if getattr(x, "dtype", np.dtype(bool)).name not in TOLERANCE:
        return x
    if documented.is_complex(x):
        return lax.complex(normal(lax.real(x)), normal(lax.imag(x)))
    tiny = jnp.asarray(2 * float(ml_dtypes.finfo(x.dtype).tiny), x.dtype)
    return jnp.where(is_denormal(x), jnp.where(jnp.signbit(x), -tiny, tiny), x)


def is_denormal(x: Any) -> Any:
    """Of real numbers; not by comparing, which takes denormal numbers for zeros on XLA:CPU."""
    bits = lax.bitcast_convert_type(x, {2: np.uint16, 4: np.uint32, 8: np.uint64}[x.dtype.itemsize])
    low = bits << bits.dtype.type(1)
    least = ml_dtypes.finfo(x.dtype).tiny.view(bits.dtype) << bits.dtype.type(1)
    return (low != 0) & (low < least)


def samples(
    function: Callable[..., Any], arguments: Sequence[Any], denormals: bool, differences: bool, count: int
) -> list[list[Any]]:
    """Leaves of the results under noise, ``count`` times, on the default device."""
    closed = jax.make_jaxpr(function)(*arguments)

    @jax.jit
    def noisy(seed: Any, *values: Any) -> list[Any]:
        if denormals:  # of every other run the same throughout
            values = [jnp.where(seed % np.uint32(2) == 0, normal(x), x) for x in values]
        return evaluate(closed.jaxpr, closed.consts, values, Noise(denormals, differences), seed)

    return [[np.asarray(x) for x in noisy(np.uint32(seed), *arguments)] for seed in range(count)]


def meets_denormals(function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether a primitive is given or gives a denormal number on the default device."""
    closed = jax.make_jaxpr(function)(*arguments)

    @jax.jit
    def found(*values: Any) -> Any:
        watch = Denormals()
        watch.see(list(values))
        watch.see([jnp.asarray(x) for x in closed.consts])
        evaluate(closed.jaxpr, closed.consts, values, watch, np.uint32(0))
        return watch.found

    return bool(found(*arguments))
