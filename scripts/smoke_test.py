"""Thirty small programs on the device, compared with the CPU backend.

Needs only jax, numpy and the installed plugin, so that one wheel can be tried
under several releases of JAX (scripts/smoke_matrix.py does that). Prints one
line a program and ends with status 1 if any differs or fails.
"""

import argparse
import os
import sys
import time
import traceback

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

PROGRAMS = []


def program(*make_arguments, rtol=1e-5, atol=1e-5, donate=()):
    """Declares a program; each argument is made from a generator on the host."""

    def declare(function):
        PROGRAMS.append((function, make_arguments, rtol, atol, donate))
        return function

    return declare


def normal(*shape, dtype=np.float32):
    return lambda rng: rng.normal(size=shape).astype(dtype)


def integers(low, high, *shape, dtype=np.int32):
    return lambda rng: rng.integers(low, high, size=shape).astype(dtype)


def value(x):
    return lambda rng: x


@program(normal(4, 5), normal(5))
def elementwise(x, y):
    return jnp.tanh(x) * jnp.exp(-y) + jnp.sin(x * y) / (1 + x * x), jnp.where(x > y, x, y)


@program(normal(64))
def special_functions(x):
    return lax.erf(x), jax.nn.gelu(x), lax.lgamma(jnp.abs(x) + 1), lax.erf_inv(jnp.tanh(x)), jnp.cbrt(x)


@program(integers(-50, 50, 40), integers(-7, 7, 40))
def integer_arithmetic(x, y):
    y = jnp.where(y == 0, 3, y)
    bits = lax.population_count(x), lax.clz(x), x << 3, lax.shift_right_logical(x, jnp.int32(2))
    return lax.div(x, y), lax.rem(x, y), x // y, x % y, x & y, x ^ y, ~x, bits


@program(value(np.array([0.5, -1.5, 2.5, np.nan, np.inf, -np.inf, -0.0], np.float32)))
def corner_values(x):
    return jnp.sign(x), jnp.round(x), jnp.floor(x), lax.is_finite(x), jnp.maximum(x, 0), x == x


@program(value(np.array([0.0, 1.7, -1.7, 300.0, -1e20, np.nan], np.float32)))
def conversions(x):
    return x.astype(jnp.int32), x.astype(jnp.uint8), x.astype(bool), x.astype(jnp.bfloat16), lax.bitcast_convert_type(x, jnp.uint32)


@program(normal(8, 16), normal(16, 4), rtol=2e-2, atol=2e-2)
def half_precision(x, y):
    x, y = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
    return x @ y, jnp.mean(x, axis=0), jax.nn.softmax(x.astype(jnp.float16))


@program(normal(6, 2), normal(6, 2))
def complex_numbers(x, y):
    z, w = lax.complex(x, y), lax.complex(y, x)
    return z * w, z / w, jnp.exp(z), jnp.abs(z), z @ jnp.conj(w.T)


@program(normal(7, 9), normal(9, 3))
def matmul_gradient(x, y):
    return jax.value_and_grad(lambda x, y: jnp.sum((x @ y) ** 2), argnums=(0, 1))(x, y)


@program(normal(2, 3, 4, 5), normal(2, 5, 4, 6))
def batched_einsum(x, y):
    return jnp.einsum("abcd,adce->abce", x, y), jnp.einsum("abcd,adce->be", x, y)


@program(normal(2, 8, 8, 3), normal(3, 3, 3, 4))
def convolution_gradient(x, w):
    def loss(x, w):
        y = lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.sum(jnp.sin(y))

    return jax.value_and_grad(loss, argnums=(0, 1))(x, w)


@program(normal(2, 8, 8, 3))
def pooling_gradient(x):
    def loss(x):
        maximum = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        mean = lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") / 9
        return jnp.sum(maximum**2) + jnp.sum(mean**2)

    return jax.value_and_grad(loss)(x)


@program(normal(5, 6, 7))
def reductions(x):
    return x.sum((0, 2)), x.prod(1), x.max(0), x.argmin(2), jnp.any(x > 2, 1), x.var(1), jax.nn.logsumexp(x, 2)


@program(normal(4, 16), normal(16))
def layer_norm_gradient(x, scale):
    def loss(x, scale):
        y = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
        return jnp.sum(jnp.sin(y * scale))

    return jax.grad(loss, argnums=(0, 1))(x, scale)


@program(normal(2, 4, 10, 8), normal(2, 4, 10, 8), normal(2, 4, 10, 8))
def attention_gradient(q, k, v):
    def loss(q, k, v):
        scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(8)
        mask = jnp.tril(jnp.ones((10, 10), bool))
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e30))
        return jnp.sum(jnp.einsum("bhqk,bhkd->bhqd", weights, v) ** 2)

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(q, k, v)


@program(normal(10, 4), integers(0, 10, 6))
def gather_gradient(table, index):
    return jax.value_and_grad(lambda t: jnp.sum(jnp.cos(t[index]) * t[index[::-1]]))(table)


@program(normal(8, 3), integers(0, 8, 5), normal(5, 3))
def scatters(x, index, update):
    at = x.at[index]
    return at.add(update), at.max(update), at.min(update), at.multiply(update), x.at[jnp.array([1, 20])].set(0.0)


@program(normal(12, 5), integers(0, 3, 12))
def sorting(x, key):
    return jnp.sort(x, 0), jnp.argsort(x, 1), lax.sort((key, x[:, 0]), num_keys=2), lax.top_k(x, 3)


@program(normal(3, 17))
def cumulative(x):
    return jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.cummax(x, 1, reverse=True), lax.cumlogsumexp(x, 1)


@program(normal(6, 7), value(np.int32(4)))
def slices(x, start):
    window = lax.dynamic_slice(x, (start, 1), (3, 2))
    return window, lax.dynamic_update_slice(x, window, (0, start)), x[::-2, 1::3], x[:, None, 2]


@program(normal(3, 4))
def shapes(x):
    padded = lax.pad(x, 9.0, ((1, -1, 2), (-1, 2, 0)))
    return padded, jnp.concatenate([x, x[::-1]], 1), x.T.reshape(2, 6), jnp.broadcast_to(x, (2, 3, 4)), x[:, :0]


@program(normal(5, 3, 8), normal(8, 32), normal(8, 32), rtol=1e-4)
def lstm_scan_gradient(xs, w, u):
    def cell(state, x):
        h, c = state
        i, f, g, o = jnp.split(x @ w_ + h @ u_, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def loss(w, u):
        nonlocal w_, u_
        w_, u_ = w, u
        return jnp.sum(lax.scan(cell, (jnp.zeros((3, 8)), jnp.zeros((3, 8))), xs)[1] ** 2)

    w_, u_ = w, u
    return jax.value_and_grad(loss, argnums=(0, 1))(w, u)


@program(value(np.int32(27)))
def while_loop(n):
    def step(state):
        n, steps = state
        return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1

    return lax.while_loop(lambda state: state[0] != 1, step, (n, jnp.int32(0)))


@program(normal(4), value(np.int32(2)))
def branches(x, index):
    chosen = lax.switch(index, [jnp.sin, jnp.cos, lambda x: x * 3], x)
    return chosen, jax.grad(lambda x: lax.cond(index > 1, lambda x: jnp.sum(x**3), jnp.sum, x))(x)


@program(normal(5), normal(5, 5))
def derivatives(x, a):
    function = lambda x: jnp.sin(a @ x) * x  # noqa: E731
    return jax.jacfwd(function)(x), jax.jacrev(function)(x), jax.hessian(lambda x: jnp.sum(function(x)))(x)


@program(value(np.uint32(7)))
def random_threefry(seed):
    key = jax.random.key(seed)
    return (
        jax.random.bits(key, (8,)),
        jax.random.normal(key, (9,)),
        jax.random.randint(key, (5,), 0, 100),
        jax.random.permutation(key, 10),
        jax.random.categorical(key, jnp.zeros((4, 6))),
    )


@program(value(np.uint32(7)))
def random_rbg(seed):
    key = jax.random.key(seed, impl="rbg")
    return jax.random.bits(key, (11,)), jax.random.uniform(key, (6,))


@program(normal(4, 16), rtol=1e-4)
def fourier(x):
    return jnp.fft.fft(x), jnp.fft.rfft(x), jnp.fft.irfft(jnp.fft.rfft(x)), jnp.fft.fft2(x)


@program(normal(5, 5), normal(5, 2), rtol=1e-3, atol=1e-4)
def linear_systems(a, b):
    spd = a @ a.T + 5 * jnp.eye(5)
    factor = jnp.linalg.cholesky(spd)
    solution = jax.scipy.linalg.solve_triangular(factor, b, lower=True)
    return factor, solution, jnp.linalg.solve(spd, b), jnp.linalg.slogdet(spd)


@program(normal(6, 4), rtol=1e-4, atol=1e-4)
def qr_decomposition(a):
    return jnp.linalg.qr(a)


@program(
    lambda rng: {
        "hidden": rng.normal(size=(8, 16)).astype(np.float32) / 4,
        "out": rng.normal(size=(16, 3)).astype(np.float32) / 4,
    },
    normal(32, 8),
    integers(0, 3, 32),
    rtol=1e-4,
    donate=(0,),
)
def training_step(weights, x, labels):
    """Three steps of Adam on a small classifier; the weights are donated."""

    def loss(weights):
        logits = jax.nn.relu(x @ weights["hidden"]) @ weights["out"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1))

    zeros = jax.tree.map(jnp.zeros_like, weights)
    first, second, losses = zeros, zeros, []
    for step in range(1, 4):
        value, gradient = jax.value_and_grad(loss)(weights)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        weights = jax.tree.map(
            lambda w, m, v: w - 0.01 * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-3),
            weights, first, second,
        )
        losses.append(value)
    return weights, losses


def run(function, arguments, device, donate):
    arguments = jax.device_put(arguments, device)
    result = jax.jit(function, donate_argnums=donate)(*arguments)
    devices = {d for leaf in jax.tree.leaves(result) for d in leaf.devices()}
    if devices != {device}:
        raise AssertionError(f"results are on {devices}, not on {device}")
    if device.platform == "mps":
        for number in donate:
            for leaf in jax.tree.leaves(arguments[number]):
                if not leaf.is_deleted():
                    raise AssertionError("a donated argument is still alive")
    return jax.tree.map(np.asarray, result)


def compare(ours, reference, rtol, atol):
    ours, reference = jax.tree.leaves(ours), jax.tree.leaves(reference)
    assert len(ours) == len(reference), f"{len(ours)} results, not {len(reference)}"
    for number, (a, b) in enumerate(zip(ours, reference)):
        where = f"result {number}"
        assert a.dtype == b.dtype, f"{where}: {a.dtype}, not {b.dtype}"
        assert a.shape == b.shape, f"{where}: shape {a.shape}, not {b.shape}"
        exact = not (np.issubdtype(a.dtype, np.inexact) or a.dtype == jnp.bfloat16)
        if a.dtype == jnp.bfloat16:
            a, b = a.astype(np.float32), b.astype(np.float32)
        np.testing.assert_allclose(a, b, rtol=0 if exact else rtol, atol=0 if exact else atol, err_msg=where)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", nargs="*", help="names; all if none is given")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks")
    options = parser.parse_args()

    device, reference = jax.devices("mps")[0], jax.devices("cpu")[0]
    print(f"jax {jax.__version__}, Python {sys.version.split()[0]}, {device.device_kind}")
    chosen = [p for p in PROGRAMS if not options.programs or p[0].__name__ in options.programs]
    failures = 0
    for function, make_arguments, rtol, atol, donate in chosen:
        rng = np.random.default_rng(0)
        arguments = tuple(make(rng) for make in make_arguments)
        start, verdict = time.perf_counter(), "ok"
        try:
            expected = run(function, arguments, reference, donate)
            compare(run(function, arguments, device, donate), expected, rtol, atol)
        except Exception as error:  # every failure is reported, then the next runs
            failures += 1
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            verdict = f"FAILED {type(error).__name__}: {' '.join(lines)[:300]}"
            if options.verbose:
                traceback.print_exc()
        print(f"  {function.__name__:<22} {time.perf_counter() - start:6.2f} s  {verdict}", flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} programs agree with the CPU backend")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
