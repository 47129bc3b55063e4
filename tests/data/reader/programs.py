"""Writes what jaxlib serializes for 19 programs, at StableHLO 1.13.0.

    python programs.py FOLDER        # in an environment with the version of jax in question
    python make.py --texts FOLDER    # in one with jax 0.10.2: jaxlib's reading of each
"""

import io
import os
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

try:
    from jax._src.lib import _jax
except ImportError:
    from jax._src.lib import xla_client

    _jax = xla_client._xla

TARGET = "1.13.0"
PROGRAMS = {}
X = jnp.ones((4, 4))
INDICES = jnp.ones((4, 4), jnp.int32)
MESH = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))


def program(*arguments):
    def add(function):
        PROGRAMS[function.__name__] = (function, arguments)
        return function

    return add


@program(X)
def special(x):
    functions = [lax.erf, lax.erf_inv, lax.lgamma, lax.digamma, jnp.sinh, jnp.arccosh, jnp.arcsin, jnp.arctan]
    functions += [jnp.cosh, jnp.arcsinh, jnp.arctanh, lax.bessel_i0e, lax.tan]
    return [function(x) for function in functions], lax.top_k(x, 2)


@program(X)
def linalg(x):
    linear = jnp.linalg
    solved = linear.cholesky(x), linear.qr(x), linear.svd(x), linear.eigh(x), linear.solve(x, x), linear.inv(x)
    return solved, jax.scipy.linalg.lu(x)


@program(X)
def loops(x):
    return (
        lax.fori_loop(0, 5, lambda i, c: c * 2 + i, x),
        lax.scan(lambda c, a: (c + a, c), x[0], x),
        lax.while_loop(lambda c: (c < 10.0).all(), lambda c: c + 1, x),
        lax.cond(x[0, 0] > 0, lambda: x, lambda: -x),
        lax.switch(1, [lambda: x, lambda: x + 1, lambda: x * 2]),
        lax.map(lambda v: v.sum(), x),
    )


@program(jax.random.key(0))
def rand(key):
    random = jax.random
    return (
        random.normal(key, (3,)),
        random.randint(key, (3,), 0, 9),
        random.permutation(key, 8),
        random.gamma(key, 2.0, (3,)),
        random.bernoulli(key, 0.5, (3,)),
        random.categorical(key, jnp.ones(4)),
        random.poisson(key, 3.0, (2,)),
    )


@program(X)
def sorts(x):
    several = jnp.lexsort((x[0], x[1])), lax.sort((x, x), num_keys=2)
    return jnp.sort(x), jnp.argsort(x), several, jnp.unique(x, size=4), jnp.median(x), jnp.percentile(x, 30)


@program(X)
def reduces(x):
    scans = jnp.cumsum(x), jnp.cumprod(x, 1), lax.cummax(x), lax.cumlogsumexp(x)
    window = lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME")
    return x.sum(0), x.max(), x.argmin(1), scans, x.prod(), x.std(), jnp.any(x > 0), window, jax.nn.logsumexp(x)


@program(jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4)))
def conv(images, kernel):
    numbers = ("NHWC", "HWIO", "NHWC")

    def convolved(images, kernel):
        return lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=numbers).sum()

    def pooled(images):
        return lax.reduce_window(images, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    gradients = jax.grad(convolved, (0, 1))(images, kernel)
    return gradients, pooled(images), jax.grad(lambda images: pooled(images).sum())(images)


@program(X, INDICES)
def index(x, i):
    return (
        x[i[0]],
        x.at[i[0]].add(1.0),
        x.at[1:3].set(2.0),
        jnp.take_along_axis(x, i, 1),
        x.at[i[0], i[1]].max(3.0),
        jnp.roll(x, 1),
        jnp.diag(x),
        jnp.tril(x),
        lax.dynamic_slice(x, (i[0, 0], 0), (2, 2)),
        jnp.searchsorted(x[0], x[1]),
        jnp.bincount(i[0], length=5),
        jax.ops.segment_sum(x, i[0], 5),
    )


@program(X)
def ffts(x):
    return jnp.fft.fft2(x), jnp.fft.rfft(x), jnp.fft.irfft(jnp.fft.rfft(x)), jnp.fft.ifft(x)


@program(X)
def dots(x):
    half = x.astype(jnp.bfloat16)
    return (
        x @ x,
        jnp.einsum("ij,kj->ik", x, x),
        lax.dot_general(x, x, (((1,), (1,)), ((0,), (0,))), precision="highest"),
        lax.dot(half, half, preferred_element_type=jnp.float32),
        lax.dot(INDICES, INDICES),
        lax.dot(x, x, precision=lax.DotAlgorithmPreset.F32_F32_F32),
    )


@program(X)
def casts(x):
    names = "float16 bfloat16 int8 uint8 int16 uint32 bool_ complex64 int4 uint4 float8_e4m3fn float8_e5m2"
    names += " float8_e4m3b11fnuz float8_e4m3fnuz float8_e5m2fnuz"
    bits = lax.bitcast_convert_type(x, jnp.uint8), lax.reduce_precision(x, 5, 10)
    return [x.astype(getattr(jnp, name)) for name in names.split()], bits


@program(X)
def consts(x):
    drawn = np.random.RandomState(0).randn(4, 4).astype(np.float32)
    small = np.array([1, 2, 3], np.int8), np.array([1 + 2j], np.complex64), jnp.zeros((0, 3))
    return x + drawn, jnp.array([True, False] * 9), jnp.arange(10), small


@program(X)
def remat(x):
    inner = jax.checkpoint(lambda y: jnp.sin(jnp.sin(y)))
    return (
        jax.grad(lambda x: inner(x).sum())(x),
        lax.optimization_barrier(x),
        jax.nn.softmax(x),
        jax.nn.gelu(x),
        jax.nn.silu(x),
        jax.hessian(lambda v: (v**3).sum())(x[0]),
        jax.jvp(jnp.tanh, (x,), (x,)),
    )


@program(X)
def callback(x):
    return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((4, 4), jnp.float32), x)


@program(X)
def smap(x):
    def local(a):
        sums = lax.psum(a, "x").sum() + lax.pmean(a, ("x", "y")).sum() + lax.pmax(a, "x").sum()
        moved = lax.all_gather(a, "y").sum() + lax.ppermute(a, "x", [(0, 1), (1, 0)]).sum()
        parts = lax.psum_scatter(a, "x", tiled=True).sum() + lax.all_to_all(a, "y", 0, 1, tiled=True).sum()
        return lax.psum(sums + moved + parts + lax.axis_index("x"), ("x", "y"))

    mapped = jax.shard_map(local, mesh=MESH, in_specs=P("x", "y"), out_specs=P(), check_vma=False)
    return mapped(x)


@program(jax.device_put(X, NamedSharding(MESH, P("x", None))))
def auto(x):
    return lax.with_sharding_constraint(x @ x.T, NamedSharding(MESH, P("y", "x"))), jnp.sum(x)


@program(X)
def ragged(x):
    return lax.ragged_dot(x, jnp.ones((2, 4, 4)), jnp.array([2, 2]))


@program(X)
def approx(x):
    return lax.approx_max_k(x, 2)


@program(X)
def host(x):
    jax.debug.print("{x}", x=x)
    return x


def serialize(function, arguments):
    module = jax.jit(function).lower(*arguments).compiler_ir("stablehlo")
    try:
        return _jax.mlir.serialize_portable_artifact(module, TARGET, True)
    except TypeError:
        # Older versions take bytes.
        bytecode = io.BytesIO()
        module.operation.write_bytecode(bytecode)
        return _jax.mlir.serialize_portable_artifact(bytecode.getvalue(), TARGET, True)


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, (function, arguments) in PROGRAMS.items():
    (folder / f"{name}.mlirbc").write_bytes(serialize(function, arguments))
