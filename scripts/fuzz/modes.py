"""The ways a program is run. The source of these functions goes into each repro, which stands alone."""

import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401  registers bfloat16 and its like with NumPy
import numpy as np

MODES = ("jit", "eager", "vmap", "jvp", "grad")


def array(dtype, shape, values):
    wanted = np.dtype(dtype)
    if isinstance(values, str):
        return np.frombuffer(bytes.fromhex(values), wanted).reshape(shape)
    if wanted.name.startswith("complex"):
        return np.array(values, np.dtype(f"float{wanted.itemsize * 4}")).view(wanted).reshape(shape)
    wide = np.float64
    if "int" in dtype:
        wide = np.uint64 if dtype.startswith("u") else np.int64
    elif dtype == "bool":
        wide = np.bool_
    with np.errstate(all="ignore"):
        return np.array(values, wide).astype(wanted).reshape(shape)


def is_inexact(x):
    return jax.dtypes.issubdtype(x.dtype, np.inexact) and not x.dtype.name.startswith("float8")


def directions(x):
    """A tangent or cotangent for x: fixed numbers of either sign."""
    if not is_inexact(x):
        return np.zeros(x.shape, jax.dtypes.float0)
    return jnp.asarray(np.cos(np.arange(x.size) + 1.0).reshape(x.shape), x.dtype)


def derivative(program, arguments, reverse):
    """Results of the program and its derivative with respect to all floating-point arguments."""
    chosen = [index for index, x in enumerate(arguments) if is_inexact(x)]

    def partial(*values):
        merged = list(arguments)
        for index, value in zip(chosen, values):
            merged[index] = value
        return program(*merged)

    primals = [arguments[index] for index in chosen]
    if not reverse:
        return jax.jvp(partial, primals, [directions(x) for x in primals])
    results, pull = jax.vjp(partial, *primals)
    return results, pull(tuple(directions(x) for x in results))


def prepared(program, inputs, settings):
    """The function of the mode, not yet compiled, and its arguments."""
    arguments = [value for name, value in inputs.items() if name not in settings["constants"]]
    mode = settings["mode"]
    if mode == "vmap":
        flipped = [x[(slice(None, None, -1),) * x.ndim] for x in arguments]
        return jax.vmap(program), [np.stack([x, y]) for x, y in zip(arguments, flipped)]
    if mode in ("jvp", "grad"):
        return lambda *values: derivative(program, values, mode == "grad"), arguments
    return program, arguments


def run(program, inputs, settings, device):
    """Results on the device, which is the default device."""
    function, arguments = prepared(program, inputs, settings)
    placed = [jax.device_put(x, device) for x in arguments]
    if settings["mode"] == "eager":
        return jax.block_until_ready(function(*placed))
    names = [name for name in inputs if name not in settings["constants"]]
    donated = [index for index, name in enumerate(names) if name in settings["donated"]]
    return jax.block_until_ready(jax.jit(function, donate_argnums=donated)(*placed))


HELPERS = (array, is_inexact, directions, derivative, prepared, run)
