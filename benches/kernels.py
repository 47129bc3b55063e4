"""Cases of one operation or one layer each, and of calls that do next to nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from harness import SCAN_STEPS, Case, scan_name


def _normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def call_cases(mx):
    """A cached call with 1, 10 and 100 small buffers in and out.

    jax-mps computes such programs on the calling thread.
    """
    cases = []
    for count, size in ((1, 16), (1, 1000), (10, 1000), (100, 1000)):
        inputs = tuple(_normal(index, size) for index in range(count))

        def jax_function(*arrays):
            return tuple(array + 1.0 for array in arrays)

        def mlx_function(*arrays):
            return tuple(array + 1.0 for array in arrays)

        for block in (True, False):
            name = f"call, {count} in and out of {size}" + ("" if block else ", not waiting")
            cases.append(Case(name, "call", inputs, jax_function, mlx_function, block=block, seconds=2.0))
    return cases


def elementwise(mx):
    def chain(np_like, x):
        y = np_like.tanh(x * 1.5 + 0.25)
        y = np_like.exp(-y * y) * x
        return np_like.maximum(y, 0.0) - np_like.sqrt(np_like.abs(y) + 1.0)

    return Case(
        "elementwise chain, 1M", "kernel", (_normal(0, 1024, 1024),), lambda x: chain(jnp, x), lambda x: chain(mx, x)
    )


def reductions(mx):
    inputs = (_normal(1, 2048, 2048),)
    return [
        Case("row sum, 2048x2048", "kernel", inputs, lambda x: x.sum(axis=1), lambda x: x.sum(axis=1)),
        Case("column sum, 2048x2048", "kernel", inputs, lambda x: x.sum(axis=0), lambda x: x.sum(axis=0)),
    ]


def softmax(mx):
    return Case(
        "softmax, 1024x1024",
        "kernel",
        (_normal(2, 1024, 1024),),
        lambda x: jax.nn.softmax(x, axis=-1),
        lambda x: mx.softmax(x, axis=-1),
    )


def layer_norm(mx):
    inputs = (_normal(3, 1024, 512), 1 + 0.1 * _normal(4, 512), _normal(5, 512), _normal(6, 1024, 512))

    def jax_loss(x, scale, offset, weight):
        mean = x.mean(axis=-1, keepdims=True)
        variance = jnp.square(x - mean).mean(axis=-1, keepdims=True)
        return (((x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + offset) * weight).sum()

    def mlx_loss(x, scale, offset, weight):
        return (mx.fast.layer_norm(x, scale, offset, 1e-5) * weight).sum()

    return Case(
        "layer norm forward+backward, 1024x512",
        "kernel",
        inputs,
        jax.grad(jax_loss, argnums=(0, 1, 2)),
        mx.grad(mlx_loss, argnums=(0, 1, 2)),
    )


def matmul(mx):
    inputs = (_normal(7, 1024, 1024), _normal(8, 1024, 1024))
    return Case("matmul, 1024^3", "kernel", inputs, lambda a, b: a @ b, lambda a, b: a @ b)


def convolution(mx):
    images, kernel, weight = _normal(9, 16, 28, 28, 32), 0.1 * _normal(10, 32, 3, 3, 32), _normal(11, 16, 28, 28, 32)

    def jax_loss(images, kernel, weight):
        result = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "OHWI", "NHWC")
        )
        return (result * weight).sum()

    def mlx_loss(images, kernel, weight):
        return (mx.conv2d(images, kernel, padding=1) * weight).sum()

    return Case(
        "conv2d forward+backward, 16x28x28x32",
        "kernel",
        (images, kernel, weight),
        jax.value_and_grad(jax_loss, argnums=(0, 1)),
        mx.value_and_grad(mlx_loss, argnums=(0, 1)),
        tolerance=1e-3,
    )


def attention(mx):
    shape = (4, 4, 128, 32)  # batch, heads, length, width
    inputs = tuple(_normal(seed, *shape) for seed in (12, 13, 14, 15))
    factor = np.float32(1 / np.sqrt(shape[-1]))

    def jax_loss(query, key, value, weight):
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, key) * factor
        return (jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, axis=-1), value) * weight).sum()

    def mlx_loss(query, key, value, weight):
        return (mx.fast.scaled_dot_product_attention(query, key, value, scale=float(factor)) * weight).sum()

    return Case(
        "attention forward+backward, 4x4x128x32",
        "kernel",
        inputs,
        jax.grad(jax_loss, argnums=(0, 1, 2)),
        mx.grad(mlx_loss, argnums=(0, 1, 2)),
    )


def indexing(mx):
    table = _normal(16, 10_000, 64)
    indices = np.random.default_rng(17).integers(0, len(table), 8192).astype(np.int32)
    updates = _normal(18, len(indices), 64)
    return [
        Case(
            "gather, 8192 rows of 64", "kernel", (table, indices), lambda t, i: t[i], lambda t, i: mx.take(t, i, axis=0)
        ),
        Case(
            "scatter-add, 8192 rows of 64",
            "kernel",
            (table, indices, updates),
            lambda t, i, u: t.at[i].add(u),
            lambda t, i, u: t.at[i].add(u),
        ),
    ]


def lstm(mx):
    steps, batch, width = 64, 32, 128
    inputs = (
        _normal(19, steps, batch, width),
        _normal(20, width, 4 * width) / np.float32(np.sqrt(width)),
        _normal(21, width, 4 * width) / np.float32(np.sqrt(width)),
        _normal(22, 4 * width),
    )

    def jax_function(sequence, input_weight, hidden_weight, bias):
        def cell(carry, x):
            hidden, memory = carry
            gates = x @ input_weight + hidden @ hidden_weight + bias
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
            return (hidden, memory), hidden

        zeros = jnp.zeros((batch, width), jnp.float32)
        return jax.lax.scan(cell, (zeros, zeros), sequence)[1]

    def mlx_function(sequence, input_weight, hidden_weight, bias):
        hidden = memory = mx.zeros((batch, width))
        outputs = []
        for x in sequence:
            gates = x @ input_weight + hidden @ hidden_weight + bias
            i, f, g, o = mx.split(gates, 4, axis=-1)
            memory = mx.sigmoid(f) * memory + mx.sigmoid(i) * mx.tanh(g)
            hidden = mx.sigmoid(o) * mx.tanh(memory)
            outputs.append(hidden)
        return mx.stack(outputs)

    return Case("LSTM scan, 64 steps, 32x128", "kernel", inputs, jax_function, mlx_function, tolerance=1e-3)


def loop(mx):
    iterations = 1000

    def body(x):
        return x * 0.99 + 0.1

    def mlx_function(x):
        for _ in range(iterations):
            x = body(x)
        return x

    return Case(
        "fori_loop, 1000 small iterations",
        "kernel",
        (_normal(23, 16),),
        lambda x: jax.lax.fori_loop(0, iterations, lambda _, x: body(x), x),
        mlx_function,
    )


def stacked_scans(mx):
    """A scan that stacks what each step gives: each writes one row, so the time grows with the steps, not their square."""

    def case(steps):
        def jax_function(x):
            def step(carry, _):
                carry = carry * 0.999 + 0.5
                return carry, carry

            return jax.lax.scan(step, x, None, length=steps)[1]

        def mlx_function(x):
            rows = []
            for _ in range(steps):
                x = x * 0.999 + 0.5
                rows.append(x)
            return mx.stack(rows)

        return Case(scan_name(steps), "kernel", (_normal(9, 4096),), jax_function, mlx_function, tolerance=1e-3)

    return [case(steps) for steps in SCAN_STEPS]


def cases(mx):
    return [
        *call_cases(mx),
        elementwise(mx),
        *reductions(mx),
        softmax(mx),
        layer_norm(mx),
        matmul(mx),
        convolution(mx),
        attention(mx),
        *indexing(mx),
        lstm(mx),
        loop(mx),
        *stacked_scans(mx),
    ]
