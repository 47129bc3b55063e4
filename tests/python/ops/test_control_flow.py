"""while, if, case, calls, scans, composites and derivative rules (src/lower/control_flow)."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from ops.harness import Case, fixed, normal, suite, uniform

FEW = ("float32", "int32")


def collatz(n):
    def step(state):
        value, steps = state
        return jnp.where(value % 2 == 0, value // 2, 3 * value + 1), steps + 1

    return lax.while_loop(lambda state: state[0] != 1, step, (n, jnp.int32(0)))


def newton(x):
    """The square root, by a loop that ends when it has converged."""

    def step(state):
        guess, _ = state
        better = (guess + x / guess) / 2
        return better, jnp.abs(better - guess)

    return lax.while_loop(lambda state: state[1] > 1e-3, step, (x, jnp.ones_like(x)))[0]


def recurrent(carry, x, weights):
    def cell(state, row):
        new = jnp.tanh(state @ weights + row)
        return new, new * 2

    return lax.scan(cell, carry, x)


@jax.custom_vjp
def clipped_gradient(x):
    return x * 2


clipped_gradient.defvjp(lambda x: (x * 2, None), lambda _, g: (jnp.clip(g, -0.5, 0.5),))


@jax.custom_jvp
def own_tangent(x):
    return jnp.sin(x)


own_tangent.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), 3 * tangents[0]))


def polynomial(x, *, degree):
    return x**degree


def inner(x):
    return jnp.sin(x) * 2


compiled_inner = jax.jit(inner)

BRANCHES = [lambda x: x + 1, lambda x: x * 2, lambda x: x - x * x]

CASES = [
    Case("fori_loop", lambda x: lax.fori_loop(0, 5, lambda i, v: v * 2 + i, x), [normal(3)],
         ("float32", "int32", "int8", "complex64", "bfloat16")),
    Case("fori_loop_gradient", lambda x: lax.fori_loop(0, 4, lambda i, v: jnp.sin(v) + v, x),
         [normal(3)], gradient=True, accumulates=True),
    Case("fori_loop_dynamic_end", lambda x, n: lax.fori_loop(0, n, lambda i, v: v + i, x),
         [normal(3), fixed(7, "int32")], FEW),
    Case("fori_loop_no_iteration", lambda x, n: lax.fori_loop(n, 3, lambda i, v: v + i, x),
         [normal(3), fixed(5, "int32")], FEW),
    Case("while_loop", collatz, [fixed(27)], ("int32", "uint32")),
    Case("while_loop_vmapped", jax.vmap(collatz), [fixed([1, 7, 27, 6])], ("int32",)),
    Case("while_loop_newton", newton, [fixed(2.0)], ("float32",)),
    Case("while_loop_forward_mode", lambda x: jax.jvp(newton, (x,), (jnp.ones_like(x),)),
         [fixed(3.0)], ("float32",)),
    Case("while_loop_false_at_once", lambda x: lax.while_loop(lambda v: v[0] < -99, lambda v: v + 1, x),
         [fixed([1, 2])], FEW),
    Case("while_nested",
         lambda x: lax.fori_loop(0, 3, lambda i, v: lax.fori_loop(0, i + 1, lambda j, w: w + j, v) * 2, x),
         [normal(2)], FEW),
    Case("while_swaps_carries",
         lambda x, y: lax.fori_loop(0, 3, lambda i, v: (v[1], v[0] + v[1]), (x, y)),
         [normal(2), normal(2)], FEW),
    Case("while_empty_carry", lambda x: lax.fori_loop(0, 3, lambda i, v: v, x), [normal(0, 2)], FEW),
    *(
        Case(f"cond_{taken}", lambda p, x: lax.cond(p, lambda v: jnp.sin(v), lambda v: v * 3, x),
             [fixed(taken, "bool"), normal(3)], ("float32",), gradient=True)
        for taken in (True, False)
    ),
    *(
        Case(f"cond_integers_{taken}", lambda p, x: lax.cond(p, lambda v: v + 1, lambda v: v * 3, x),
             [fixed(taken, "bool"), normal(3)], ("int32", "bool"))
        for taken in (True, False)
    ),
    Case("cond_closes_over", lambda p, x, y: lax.cond(p, lambda: (x, y), lambda: (y, x)),
         [fixed(True, "bool"), normal(3), normal(3)], FEW),
    Case("cond_vmapped", jax.vmap(lambda p, x: lax.cond(p, jnp.sin, jnp.cos, x)),
         [fixed([True, False, True], "bool"), normal(3)], gradient=True),
    Case("cond_without_operands", lambda p: lax.cond(p, lambda: 1.0, lambda: 2.0),
         [fixed(False, "bool")]),
    *(
        Case(f"switch_{index}".replace("-", "minus_"), lambda i, x: lax.switch(i, BRANCHES, x),
             [fixed(index, "int32"), normal(3)], ("float32",), gradient=True)
        for index in (-5, 0, 1, 2, 9)
    ),
    Case("switch_vmapped", jax.vmap(lambda i, x: lax.switch(i, BRANCHES, x)),
         [fixed([2, 0, 7, -1], "int32"), normal(4)], gradient=True),
    Case("switch_in_loop",
         lambda x: lax.fori_loop(0, 6, lambda i, v: lax.switch(i % 3, BRANCHES, v), x),
         [uniform(-1, 1, 2)], accumulates=True),
    Case("scan", recurrent, [normal(4), normal(5, 4), uniform(-0.5, 0.5, 4, 4)], ("float32", "bfloat16"),
         gradient=True, accumulates=True, conditioning=2),  # five steps deep
    Case("scan_reverse", lambda x: lax.scan(lambda c, v: (c + v, c * v), x[0], x, reverse=True),
         [normal(5, 2)], FEW, gradient=True, accumulates=True),
    Case("scan_unrolled", lambda x: lax.scan(lambda c, v: (c + v, c), x[0], x, unroll=2),
         [normal(5, 2)], FEW, gradient=True, accumulates=True),
    Case("scan_no_steps", lambda x: lax.scan(lambda c, v: (c + v, c), jnp.ones(2, x.dtype), x),
         [normal(0, 2)], FEW),
    Case("scan_without_inputs", lambda x: lax.scan(lambda c, _: (c * 2, c), x, None, length=4),
         [normal(2)], FEW),
    Case("scan_nested",
         lambda x: lax.scan(lambda c, row: lax.scan(lambda d, v: (d + v, d * v), c, row), x[0, 0], x),
         [normal(2, 3)], FEW, gradient=True, accumulates=True),
    Case("scan_of_rematerialised",
         lambda x: lax.scan(jax.checkpoint(lambda c, v: (jnp.sin(c * v), c)), x[0], x)[0],
         [normal(4, 2)], gradient=True, accumulates=True),
    Case("map", lambda x: lax.map(lambda v: v * v + 1, x), [normal(4, 2)], FEW, gradient=True),
    Case("associative_scan", lambda x: lax.associative_scan(jnp.multiply, x), [uniform(1, 2, 7)],
         FEW, gradient=True, accumulates=True),
    Case("associative_scan_pairs",
         lambda a, b: lax.associative_scan(lambda x, y: (x[0] * y[0], y[0] * x[1] + y[1]), (a, b)),
         [uniform(0, 1, 6), normal(6)], gradient=True, accumulates=True),
    Case("nested_jit", lambda x: compiled_inner(x) + compiled_inner(compiled_inner(x)), [normal(3)],
         gradient=True, accumulates=True),
    Case("custom_vjp", clipped_gradient, [normal(3)], gradient=True),
    Case("custom_jvp", own_tangent, [normal(3)], gradient=True),
    Case("checkpoint", jax.checkpoint(lambda x: jnp.sin(jnp.sin(x) * x)), [normal(3)], gradient=True,
         accumulates=True),
    Case("optimization_barrier", lambda x, y: lax.optimization_barrier((x + 1, y)),
         [normal(3), normal(2)], FEW),
    Case("composite",
         lambda x: lax.composite(functools.partial(polynomial, degree=3), name="test.polynomial")(x)
         + lax.composite(lambda v: v * 2, name="test.double", version=2)(x),
         [normal(3)]),
    Case("stop_gradient", lambda x: x * lax.stop_gradient(x), [normal(3)], gradient=True),
    Case("custom_root",
         lambda x: lax.custom_root(lambda y: y * y - x, x, lambda f, y: newton(x),
                                   lambda g, y: y / g(1.0)), [fixed(2.0)]),
    Case("hessian", jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x**2)), [normal(3)], accumulates=True),
    Case("jacobian", jax.jacfwd(lambda x: jnp.outer(x, jnp.exp(x))), [normal(3)], accumulates=True),
    Case("named_scope_and_pytrees",
         lambda x: {"a": (x, [x + 1]), "b": None}, [normal(2)], FEW),
]  # fmt: skip

test_value, test_gradient = suite(CASES)


def test_counter_of_four_bits_wraps(device, reference):
    """-7, -2, 3, 8 = -8, ...: the counter passes its bound by wrapping, which its storage of a byte does not."""

    def trips():
        start = (jnp.int4(-7), jnp.int32(0))
        return jax.lax.while_loop(lambda c: c[0] < jnp.int4(6), lambda c: (c[0] + jnp.int4(5), c[1] + 1), start)

    results = []
    for where in (device, reference):
        with jax.default_device(where):
            results.append([int(x) for x in jax.jit(trips)()])
    assert results[0] == results[1]
