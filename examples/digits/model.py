"""A residual convolutional network for 8x8 images, in plain JAX.

Parameters and batch-norm state are nested dicts of arrays; every function is
pure. Images are NHWC, kernels HWIO.
"""

import jax
import jax.numpy as jnp
import numpy as np

CLASSES = 10
# (channels, stride) of each residual block; the stem has the first width.
BLOCKS = ((32, 1), (64, 2), (96, 2))
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9


def _kernel(key, height, width, inputs, outputs):
    """He-normal convolution kernel of shape (height, width, inputs, outputs)."""
    scale = np.sqrt(2.0 / (height * width * inputs)).astype(np.float32)
    return scale * jax.random.normal(key, (height, width, inputs, outputs), jnp.float32)


def _norm_parameters(channels):
    return {"scale": jnp.ones(channels), "offset": jnp.zeros(channels)}


def _norm_state(channels):
    return {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)}


def initialise(key):
    """Returns (parameters, state) of the network for the given random key."""
    keys = iter(jax.random.split(key, 2 + 3 * len(BLOCKS)))
    width = BLOCKS[0][0]
    parameters = {"stem": {"kernel": _kernel(next(keys), 3, 3, 1, width), "norm": _norm_parameters(width)}}
    state = {"stem": _norm_state(width)}
    for index, (channels, stride) in enumerate(BLOCKS):
        block = {
            "kernel1": _kernel(next(keys), 3, 3, width, channels),
            "norm1": _norm_parameters(channels),
            "kernel2": _kernel(next(keys), 3, 3, channels, channels),
            "norm2": _norm_parameters(channels),
        }
        shortcut_key = next(keys)
        if stride != 1 or width != channels:
            block["shortcut"] = _kernel(shortcut_key, 1, 1, width, channels)
        parameters[f"block{index}"] = block
        state[f"block{index}"] = {"norm1": _norm_state(channels), "norm2": _norm_state(channels)}
        width = channels
    parameters["head"] = {
        "weight": jax.random.normal(next(keys), (width, CLASSES), jnp.float32) / np.float32(np.sqrt(width)),
        "bias": jnp.zeros(CLASSES),
    }
    return parameters, state


def parameter_count(parameters):
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def _convolve(images, kernel, stride=1):
    return jax.lax.conv_general_dilated(
        images, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _normalise(images, parameters, state, training):
    """Batch normalisation; returns (normalised images, new running state)."""
    if training:
        mean = jnp.mean(images, axis=(0, 1, 2))
        variance = jnp.mean(jnp.square(images - mean), axis=(0, 1, 2))
        state = {
            "mean": NORM_MOMENTUM * state["mean"] + (1 - NORM_MOMENTUM) * mean,
            "variance": NORM_MOMENTUM * state["variance"] + (1 - NORM_MOMENTUM) * variance,
        }
    else:
        mean, variance = state["mean"], state["variance"]
    scale = parameters["scale"] * jax.lax.rsqrt(variance + NORM_EPSILON)
    return (images - mean) * scale + parameters["offset"], state


def apply(parameters, state, images, training):
    """Logits (batch, 10) of images (batch, 8, 8, 1), and the new state."""
    new_state = {}
    hidden = _convolve(images, parameters["stem"]["kernel"])
    hidden, new_state["stem"] = _normalise(hidden, parameters["stem"]["norm"], state["stem"], training)
    hidden = jax.nn.relu(hidden)
    for index, (_, stride) in enumerate(BLOCKS):
        name = f"block{index}"
        block, block_state = parameters[name], state[name]
        branch = _convolve(hidden, block["kernel1"], stride)
        branch, norm1 = _normalise(branch, block["norm1"], block_state["norm1"], training)
        branch = _convolve(jax.nn.relu(branch), block["kernel2"])
        branch, norm2 = _normalise(branch, block["norm2"], block_state["norm2"], training)
        shortcut = _convolve(hidden, block["shortcut"], stride) if "shortcut" in block else hidden
        hidden = jax.nn.relu(branch + shortcut)
        new_state[name] = {"norm1": norm1, "norm2": norm2}
    features = jnp.mean(hidden, axis=(1, 2))
    return features @ parameters["head"]["weight"] + parameters["head"]["bias"], new_state


def loss(parameters, state, images, labels):
    """Mean cross entropy of a training batch; returns (loss, new state)."""
    logits, state = apply(parameters, state, images, training=True)
    log_probabilities = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)
    return -jnp.mean(picked), state
