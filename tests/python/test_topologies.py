"""Devices without a client: programs compiled for them run on the client's."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jax.sharding import SingleDeviceSharding

if os.environ.get("JAX_MPS_TEST_PLATFORM", "mps") == "cpu":
    pytest.skip("XLA:CPU has no topologies", allow_module_level=True)

WITHOUT_CLIENT = """
import sys
import jax, jax.numpy as jnp
from jax._src import xla_bridge
from jax.experimental import topologies
from jax.experimental.serialize_executable import serialize
target = bytes.fromhex(sys.argv[1]).decode()
topology = topologies.get_topology_desc(platform="mps", target_config=target, topology="1x1x1")
sharding = jax.sharding.SingleDeviceSharding(topology.devices[0])
x = jax.ShapeDtypeStruct((2, 2), jnp.float32, sharding=sharding)
payload, _, _ = serialize(jax.jit(lambda x: jnp.sum(x * x)).lower(x).compile())
assert "mps" not in xla_bridge.backends()
sys.stdout.buffer.write(payload)
"""


def _compile(function, *shapes):
    topology = topologies.get_topology_desc(platform="mps")
    sharding = SingleDeviceSharding(topology.devices[0])
    arguments = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding) for shape in shapes
    ]
    return jax.jit(function).lower(*arguments).compile()


def test_topology_describes_the_device(device):
    (described,) = topologies.get_topology_desc(platform="mps").devices
    assert described.platform == "mps"
    assert described.device_kind == device.device_kind
    assert described.default_memory().kind == "device"
    kinds = [memory.kind for memory in described.addressable_memories()]
    assert kinds == ["device", "pinned_host", "unpinned_host"]
    named = topologies.get_topology_desc(device.device_kind, platform="mps")
    assert named.devices[0].device_kind == device.device_kind


def test_programs_compiled_for_the_topology_run(device):
    compiled = _compile(lambda x, y: (x @ y, x.sum()), (3, 4), (4, 2))
    loaded = deserialize_and_load(*serialize(compiled))
    x, y = np.arange(12.0, dtype="f").reshape(3, 4), np.ones((4, 2), "f")
    product, total = loaded(jax.device_put(x, device), jax.device_put(y, device))
    np.testing.assert_array_equal(np.asarray(product), x @ y)
    assert total == x.sum()


def test_what_is_not_supported_is_refused_for_a_topology_too():
    with pytest.raises(Exception, match="UNIMPLEMENTED.*c128|UNIMPLEMENTED.*complex"):
        with jax.enable_x64(True):
            _compile(lambda x: x.astype(jnp.complex128) * 2, (3,))


def test_unknown_topologies_are_refused():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT.*TPU v9"):
        topologies.get_topology_desc("TPU v9", platform="mps")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT.*chips"):
        topologies.get_topology_desc(platform="mps", chips=4)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT.*1x2x1"):
        topologies.get_topology_desc(platform="mps", topology="1x2x1")


def test_no_client_is_needed(device):
    from jax._src.lib import xla_client

    target = xla_client.get_topology_for_devices([device]).target_config
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_CLIENT, target.encode().hex()],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    _, in_tree = jax.tree.flatten(((0,), {}))
    _, out_tree = jax.tree.flatten(0)
    loaded = deserialize_and_load(
        ran.stdout, in_tree, out_tree, backend="mps", execution_devices=[device]
    )
    assert loaded(jax.device_put(np.full((2, 2), 3.0, "f"), device)) == 36
