"""``jax.profiler``: what traces hold of the host's and the device's work.

xla puts the lines of our host plane among those of ``/host:CPU``, and counts
time from the start of the profile.
"""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

PLATFORM = os.environ["JAX_MPS_TEST_PLATFORM"]

pytestmark = pytest.mark.skipif(PLATFORM == "cpu", reason="XLA:CPU names its events otherwise")

# Too large for the host to compute.
SHAPE = (32, 32)


@jax.jit
def profiled_program(x, y):
    return jnp.tanh(x @ y) + 1


@jax.jit
def profiled_loop(x):
    return jax.lax.while_loop(lambda x: jnp.sum(x) < 1000, lambda x: jnp.sin(x) + 2 * x, x)


def _profile(folder):
    """The one profile below the folder."""
    (path,) = folder.rglob("*.xplane.pb")
    return jax.profiler.ProfileData.from_file(str(path))


def _plane(profile, prefix):
    (plane,) = [plane for plane in profile.planes if plane.name.startswith(prefix)]
    return plane


def _events(plane):
    return [event for line in plane.lines for event in line.events]


def _named(events, name):
    return [event for event in events if event.name == name]


def _duration(profile):
    """Nanoseconds between start and stop."""
    stats = dict(_plane(profile, "Task Environment").stats)
    return stats["profile_stop_time"] - stats["profile_start_time"]


@pytest.fixture
def operands(device):
    x = jax.device_put(jnp.linspace(-1, 1, SHAPE[0] * SHAPE[1], dtype=jnp.float32).reshape(SHAPE), device)
    return x, x.T


def test_profiles_have_programs_ops_and_their_sources(operands, tmp_path):
    jax.clear_caches()
    with jax.profiler.trace(tmp_path):
        result = profiled_program(*operands)
        result.block_until_ready()
    np.testing.assert_array_equal(result, profiled_program(*operands))
    profile = _profile(tmp_path)
    device = _events(_plane(profile, "/device:CUSTOM:mps:"))
    (run,) = _named(device, "jit_profiled_program")
    assert 0 <= run.start_ns <= run.end_ns <= _duration(profile)
    assert dict(run.stats)["hlo_module"] == "jit_profiled_program"
    host = _events(_plane(profile, "/host:CPU"))
    for name in ("compile jit_profiled_program", "call jit_profiled_program"):
        (span,) = _named(host, name)
        assert 0 <= span.start_ns <= span.end_ns <= _duration(profile)
    for name, op in (("stablehlo.dot_general", "dot_general"), ("stablehlo.tanh", "tanh"), ("stablehlo.add", "add")):
        (step,) = [event for event in _named(host, name) if dict(event.stats)["hlo_module"] == "jit_profiled_program"]
        stats = dict(step.stats)
        assert stats["hlo_op"] == name
        assert stats["tf_op"].endswith(f"jit(profiled_program)/{op}")
        file, line = stats["source"].rsplit(":", 1)
        assert os.path.basename(file) == os.path.basename(__file__) and int(line) > 0
    # Steps lie within the call, on the thread that made it.
    (call,) = _named(host, "call jit_profiled_program")
    assert call.start_ns <= step.start_ns <= step.end_ns <= call.end_ns


def test_loops_that_wait_are_programs_on_threads_of_their_own(device, tmp_path, monkeypatch):
    # Turn by turn.
    monkeypatch.setenv("JAX_MPS_PLACE", "device")
    jax.clear_caches()
    x = jax.device_put(jnp.full(SHAPE, 1e-3, jnp.float32), device)
    with jax.profiler.trace(tmp_path):
        profiled_loop(x).block_until_ready()
    profile = _profile(tmp_path)
    threads = {line.name: [event.name for event in line.events] for line in _plane(profile, "/host:CPU").lines}
    (names,) = [names for thread, names in threads.items() if "program jit_profiled_loop" in names]
    # Each turn of the loop is there.
    assert names.count("stablehlo.sine") > 1 and "stablehlo.while" in names
    assert _named(_events(_plane(profile, "/device:CUSTOM:mps:")), "jit_profiled_loop")


def test_callbacks_are_there(operands, tmp_path):
    def seen(x):
        return np.asarray(x) + 1

    program = jax.jit(lambda x: jax.pure_callback(seen, jax.ShapeDtypeStruct(SHAPE, jnp.float32), x) * 2)
    with jax.profiler.trace(tmp_path):
        program(operands[0]).block_until_ready()
    names = [event.name for event in _events(_plane(_profile(tmp_path), "/host:CPU"))]
    assert any(name.startswith("callback takes ") for name in names)
    assert any(name.startswith("callback gives ") for name in names)


def test_only_what_happens_between_start_and_stop_is_recorded(operands, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    profiled_program(*operands).block_until_ready()
    with jax.profiler.trace(first):
        profiled_program(*operands).block_until_ready()
    for _ in range(3):
        profiled_program(*operands).block_until_ready()
    with jax.profiler.trace(second):
        for _ in range(2):
            profiled_program(*operands).block_until_ready()
    for folder, runs in ((first, 1), (second, 2)):
        profile = _profile(folder)
        device = _events(_plane(profile, "/device:CUSTOM:mps:"))
        assert len(_named(device, "jit_profiled_program")) == runs
        assert all(0 <= event.start_ns <= event.end_ns <= _duration(profile) for event in device)
        assert len(_named(_events(_plane(profile, "/host:CPU")), "call jit_profiled_program")) == runs


STEP_BY_STEP = """
import functools, hashlib, sys
import jax, jax.numpy as jnp, numpy as np

def body(state):
    index, x = state
    return index + 1, jnp.tanh(x @ x.T) + jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x)

@functools.partial(jax.jit, donate_argnums=0)
def f(x, y):
    index, looped = jax.lax.while_loop(lambda state: state[0] < 3, body, (0, x))
    return looped @ y, jnp.sort(x, axis=0), x + 1

def run():
    x = jax.random.normal(jax.random.key(0), (32, 32))
    y = jnp.full((32, 32), 0.5)
    results = [np.asarray(result) for result in f(x, y)]
    assert x.is_deleted() and not y.is_deleted()
    return results

plain = run()
with jax.profiler.trace(sys.argv[1]):
    profiled = run()
for expected, found in zip(plain, profiled, strict=True):
    np.testing.assert_array_equal(expected, found)
print(hashlib.sha256(b"".join(result.tobytes() for result in profiled)).hexdigest())
"""


def _step_by_step(folder, **environment):
    inherited = {name: text for name, text in os.environ.items() if name != "JAX_MPS_PROFILE"}
    return subprocess.run(
        [sys.executable, "-c", STEP_BY_STEP, str(folder)],
        env={**inherited, "JAX_PLATFORMS": PLATFORM, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_ops_one_by_one_give_the_same_results_and_durations_on_the_device(tmp_path):
    # Native code is one operation, whatever it holds.
    whole = _step_by_step(tmp_path / "whole", JAX_MPS_PLACE="device")
    assert whole.returncode == 0, whole.stderr
    ops = _step_by_step(tmp_path / "ops", JAX_MPS_PROFILE="ops", JAX_MPS_PLACE="device")
    assert ops.returncode == 0, ops.stderr
    assert ops.stdout == whole.stdout
    names = {}
    for kind in ("whole", "ops"):
        profile = _profile(tmp_path / kind)
        names[kind] = {line.name: list(line.events) for line in _plane(profile, "/device:CUSTOM:mps:").lines}
    assert set(names["whole"]) == {"XLA Modules"}
    found = {event.name for event in names["ops"]["XLA Ops"]}
    assert {"stablehlo.dot_general", "stablehlo.while", "stablehlo.tanh", "stablehlo.sort"} <= found
    (run,) = _named(names["ops"]["XLA Modules"], "jit_f")
    for event in names["ops"]["XLA Ops"]:
        stats = dict(event.stats)
        assert event.duration_ns >= 0 and "tf_op" in stats
        if stats["hlo_module"] == "jit_f":
            assert run.start_ns <= event.start_ns <= event.end_ns <= run.end_ns


def test_unknown_detail_is_an_error():
    inherited = {**os.environ, "JAX_PLATFORMS": PLATFORM, "JAX_MPS_PROFILE": "everything"}
    ran = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"], env=inherited, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode != 0 and "JAX_MPS_PROFILE: expected ops" in ran.stderr
