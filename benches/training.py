"""Whole training steps: a multilayer perceptron and the network of examples/digits.

The optimiser is Adam, with moments that are not zero: from zero moments its
first update is the sign of the gradient, so that rounding alone would decide
the sign of a parameter's change where the gradient is small.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from harness import Case

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "digits"))
import model  # noqa: E402

RATE, DECAY1, DECAY2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
STEPS_DONE = 10  # steps that the moments stand for


def moments_like(parameters, seed):
    """First and second moments of plausible size, as numpy arrays."""
    random = np.random.default_rng(seed)
    first = jax.tree.map(lambda p: (1e-2 * random.standard_normal(p.shape)).astype(np.float32), parameters)
    second = jax.tree.map(lambda p: (1e-4 * (1 + random.random(p.shape))).astype(np.float32), parameters)
    return first, second


def optax_step(loss, parameters, first, second, *data):
    """One step with optax; `loss` returns (loss, auxiliary)."""
    (value, auxiliary), gradients = jax.value_and_grad(loss, has_aux=True)(parameters, *data)
    count = jnp.asarray(STEPS_DONE, jnp.int32)
    optimiser = optax.adam(RATE, DECAY1, DECAY2, EPSILON)
    state = (optax.ScaleByAdamState(count, first, second), optax.EmptyState())
    updates, (adam, _) = optimiser.update(gradients, state)
    return value, auxiliary, optax.apply_updates(parameters, updates), adam.mu, adam.nu


def mlx_step(mx, loss, parameters, first, second, *data):
    """The same step by hand on mlx.core; `loss` returns (loss, auxiliary)."""

    def with_auxiliary(parameters):
        return loss(parameters, *data)

    (value, auxiliary), gradients = mx.value_and_grad(with_auxiliary)(parameters)
    correction1 = 1 - DECAY1 ** (STEPS_DONE + 1)
    correction2 = 1 - DECAY2 ** (STEPS_DONE + 1)
    tree = jax.tree.map
    first = tree(lambda m, g: DECAY1 * m + (1 - DECAY1) * g, first, gradients)
    second = tree(lambda v, g: DECAY2 * v + (1 - DECAY2) * g * g, second, gradients)
    parameters = tree(
        lambda p, m, v: p - RATE * (m / correction1) / (mx.sqrt(v / correction2) + EPSILON), parameters, first, second
    )
    return value, auxiliary, parameters, first, second


def mlx_cross_entropy(mx, logits, labels):
    log_probabilities = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    return -mx.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()


def perceptron(mx):
    random = np.random.default_rng(30)
    widths, batch = (784, 256, 256, 10), 128
    parameters = [
        {
            "weight": (random.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32),
            "bias": np.zeros(b, np.float32),
        }
        for a, b in zip(widths, widths[1:])
    ]
    inputs = random.standard_normal((batch, widths[0])).astype(np.float32)
    labels = random.integers(0, widths[-1], batch).astype(np.int32)

    def jax_loss(parameters, inputs, labels):
        hidden = inputs
        for layer in parameters[:-1]:
            hidden = jax.nn.relu(hidden @ layer["weight"] + layer["bias"])
        logits = hidden @ parameters[-1]["weight"] + parameters[-1]["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), ()

    def mlx_loss(parameters, inputs, labels):
        hidden = inputs
        for layer in parameters[:-1]:
            hidden = mx.maximum(hidden @ layer["weight"] + layer["bias"], 0)
        logits = hidden @ parameters[-1]["weight"] + parameters[-1]["bias"]
        return mlx_cross_entropy(mx, logits, labels), ()

    return Case(
        "MLP training step, batch 128",
        "kernel",
        (parameters, *moments_like(parameters, 31), inputs, labels),
        lambda *arguments: optax_step(jax_loss, *arguments),
        lambda *arguments: mlx_step(mx, mlx_loss, *arguments),
        tolerance=1e-3,
    )


def mlx_digits_loss(mx, parameters, state, images, labels):
    """model.loss written on mlx.core; kernels are HWIO as in the JAX model."""

    def convolve(images, kernel, stride=1):
        weight = kernel.transpose(3, 0, 1, 2)
        low, high = [], []
        for size, length in zip(images.shape[1:3], kernel.shape[:2]):
            total = max((-(-size // stride) - 1) * stride + length - size, 0)
            low.append(total // 2)
            high.append(total - total // 2)
        return mx.conv_general(images, weight, stride=stride, padding=(low, high))

    def normalise(images, parameters, state):
        mean = images.mean(axis=(0, 1, 2))
        variance = mx.square(images - mean).mean(axis=(0, 1, 2))
        keep = model.NORM_MOMENTUM
        new_state = {
            "mean": keep * state["mean"] + (1 - keep) * mean,
            "variance": keep * state["variance"] + (1 - keep) * variance,
        }
        scale = parameters["scale"] * mx.rsqrt(variance + model.NORM_EPSILON)
        return (images - mean) * scale + parameters["offset"], new_state

    new_state = {}
    hidden = convolve(images, parameters["stem"]["kernel"])
    hidden, new_state["stem"] = normalise(hidden, parameters["stem"]["norm"], state["stem"])
    hidden = mx.maximum(hidden, 0)
    for index, (_, stride) in enumerate(model.BLOCKS):
        name = f"block{index}"
        block, block_state = parameters[name], state[name]
        branch = convolve(hidden, block["kernel1"], stride)
        branch, norm1 = normalise(branch, block["norm1"], block_state["norm1"])
        branch = convolve(mx.maximum(branch, 0), block["kernel2"])
        branch, norm2 = normalise(branch, block["norm2"], block_state["norm2"])
        shortcut = convolve(hidden, block["shortcut"], stride) if "shortcut" in block else hidden
        hidden = mx.maximum(branch + shortcut, 0)
        new_state[name] = {"norm1": norm1, "norm2": norm2}
    logits = hidden.mean(axis=(1, 2)) @ parameters["head"]["weight"] + parameters["head"]["bias"]
    return mlx_cross_entropy(mx, logits, labels), new_state


def digits(mx):
    cpu = jax.devices("cpu")[0]
    with jax.default_device(cpu):
        parameters, state = jax.tree.map(np.asarray, jax.jit(model.initialise)(jax.random.key(0)))
    random = np.random.default_rng(32)
    images = random.random((64, 8, 8, 1)).astype(np.float32)
    labels = random.integers(0, model.CLASSES, 64).astype(np.int32)

    return Case(
        "digits training step, batch 64",
        "kernel",
        (parameters, *moments_like(parameters, 33), state, images, labels),
        lambda *arguments: optax_step(model.loss, *arguments),
        lambda *arguments: mlx_step(mx, lambda *a: mlx_digits_loss(mx, *a), *arguments),
        tolerance=1e-3,
        seconds=15.0,
    )


def cases(mx):
    return [perceptron(mx), digits(mx)]
