"""Collectives in groups of one device, under shard_map and pmap (src/lower/collectives.rs)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax._src.lax import parallel
from jax.sharding import Mesh, PartitionSpec

from ops.harness import ALL, NUMBERS, Case, normal, suite


def mapped(function, *arguments):
    """``function`` under shard_map on the device that the arguments are on."""
    # Traced arguments have no device; then it is that of the call.
    device = jax.config.jax_default_device
    mesh = Mesh(np.array([device]), ("i",))
    spec = PartitionSpec("i")
    specs = dict(in_specs=(spec,) * len(arguments), out_specs=spec)
    return jax.shard_map(function, mesh=mesh, check_vma=False, **specs)(*arguments)


def case(name, function, *arguments, **rest):
    return Case(name, functools.partial(mapped, function), arguments, **rest)


CASES = [
    case("psum", lambda x: lax.psum(x, "i"), normal(3, 4), dtypes=NUMBERS, gradient=True),
    case("pmax", lambda x: lax.pmax(x, "i"), normal(3, 4), dtypes=("int32", "float32", "bfloat16")),
    case("pmean", lambda x: lax.pmean(x, "i"), normal(3, 4), gradient=True),
    case("all_gather", lambda x: lax.all_gather(x, "i"), normal(3, 4), dtypes=ALL),
    case("all_gather_tiled", lambda x: lax.all_gather(x, "i", axis=1, tiled=True), normal(3, 4),
         gradient=True),
    case("all_to_all", lambda x: lax.all_to_all(x, "i", 1, 0), normal(3, 1, 2), dtypes=ALL),
    case("psum_scatter", lambda x: lax.psum_scatter(x, "i", tiled=True), normal(3, 4),
         dtypes=("int32", "float32", "complex64")),
    case("ppermute", lambda x: lax.ppermute(x, "i", [(0, 0)]), normal(3, 4), dtypes=ALL, gradient=True),
    # Who gets nothing has zeros.
    case("ppermute_to_nobody", lambda x: lax.ppermute(x, "i", []), normal(3, 4), dtypes=NUMBERS),
    case("axis_index", lambda x: x + lax.axis_index("i"), normal(3, 4), dtypes=("int32",)),
    case("empty", lambda x: lax.psum(x, "i"), normal(0, 4)),
]  # fmt: skip

# A private interface, which later releases have changed; there are no futures outside of jit.
if jax.__version_info__ < (0, 11, 1):
    CASES += [
        Case("psum_started", jax.jit(functools.partial(mapped, lambda x: parallel.psum_start(x, "i").done())),
             [normal(3, 4)]),
        Case("all_gather_started",
             jax.jit(functools.partial(mapped, lambda x: parallel.all_gather_start(x, "i", tiled=True).done())),
             [normal(3, 4)]),
    ]  # fmt: skip

test_value, test_gradient = suite(CASES)


def test_pmap_on_one_device(device):
    x = jnp.arange(4.0).reshape(1, 4)
    function = jax.pmap(lambda x: (lax.psum(x, "i") + lax.axis_index("i"), lax.all_gather(x, "i")),
                        axis_name="i", devices=[device])  # fmt: skip
    total, gathered = function(x)
    np.testing.assert_array_equal(total, x)
    np.testing.assert_array_equal(gathered, x[None])
    assert total.devices() == {device}
