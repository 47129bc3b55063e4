"""How long the backend compiles: one op, and a training step of about 3,000 ops.

Tracing and lowering to StableHLO are JAX's own and stay out of the time. Every
program differs from the one before by a shape or a constant, so that no cache
answers instead of the compiler.
"""

import time

import jax
import jax.numpy as jnp

from harness import CPU, OURS, Result, Timing, first_line

LAYERS, WIDTH, BATCH = 18, 32, 8


def one_op(index):
    """x + x of a shape that is new for each index."""
    return lambda x: x + x, (jax.ShapeDtypeStruct((1000 + index,), jnp.float32),)


def training_step(index):
    """A deep residual network with layer norm and Adam, with a new learning rate for each index."""
    rate = 1e-3 * (1 + index / 1000)

    def loss(parameters, inputs, targets):
        hidden = inputs
        for layer in parameters:
            mean = hidden.mean(axis=-1, keepdims=True)
            variance = jnp.square(hidden - mean).mean(axis=-1, keepdims=True)
            normal = (hidden - mean) * jax.lax.rsqrt(variance + 1e-5) * layer["scale"]
            hidden = hidden + jnp.tanh(normal @ layer["weight"] + layer["bias"])
        return jnp.square(hidden - targets).mean()

    def step(parameters, first, second, inputs, targets):
        value, gradients = jax.value_and_grad(loss)(parameters, inputs, targets)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, first, second)
        return value, parameters, first, second

    layer = {"scale": (WIDTH,), "weight": (WIDTH, WIDTH), "bias": (WIDTH,)}
    parameters = [{key: jax.ShapeDtypeStruct(shape, jnp.float32) for key, shape in layer.items()}] * LAYERS
    data = jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.float32)
    return step, (parameters, parameters, parameters, data, data)


def op_count(lowered):
    """StableHLO ops of a lowered program."""
    return sum(" stablehlo." in line for line in lowered.as_text().splitlines())


def lower(make, index, device):
    function, arguments = make(index)
    sharding = jax.sharding.SingleDeviceSharding(device)
    placed = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), arguments)
    return jax.jit(function).lower(*placed)


def time_compile(name, make, devices, samples):
    """Alternates the devices (arm -> device); returns a Result."""
    timings = {arm: Timing() for arm in devices}
    # Index 0 warms up what is set up once per process.
    for index in range(samples + 1):
        for arm, device in devices.items():
            if timings[arm].error is not None:
                continue
            try:
                lowered = lower(make, index, device)
                started = time.perf_counter()
                lowered.compile()
                elapsed = time.perf_counter() - started
            except Exception as error:
                timings[arm] = Timing(error=first_line(error))
                continue
            if index > 0:
                timings[arm].samples.append(elapsed)
    return Result(name, "compile", timings)


def results(devices):
    """Yields the Results for the devices (arm -> device)."""
    devices = {arm: device for arm, device in devices.items() if arm in (OURS, CPU)}
    ops = op_count(lower(training_step, 0, jax.devices("cpu")[0]))
    programs = {
        "compile, one op": (one_op, 40),
        f"compile, training step of {round(ops, -2):,} ops": (training_step, 3),
    }
    for name, (make, samples) in programs.items():
        yield name, lambda name=name, make=make, samples=samples: time_compile(name, make, devices, samples)
