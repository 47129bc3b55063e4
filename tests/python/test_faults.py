"""Faults, each in a process of its own: the exception is the right one, the device goes on, the process ends well."""

import os
import subprocess
import sys

import pytest

from jax_plugins.mps import registration

BEGIN = """
import jax, jax.numpy as jnp, numpy as np

def alive():
    np.testing.assert_array_equal(jax.jit(lambda x: x * 2 + 1)(jnp.arange(4.0)), [1, 3, 5, 7])
    looped = jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) < 100, lambda x: x * 2, x))
    np.testing.assert_array_equal(looped(jnp.ones(3)), 3 * [64.0])
    print("alive")

def raised(function):
    try:
        jax.block_until_ready(function())
        jax.effects_barrier()
    except Exception as error:
        print(type(error).__module__.split(".")[0], type(error).__name__, str(error).replace(chr(10), " "))
    else:
        print("nothing")
"""


@pytest.fixture(autouse=True)
def plugin_only(device):
    if device.platform != registration.PLATFORM:
        pytest.skip("of the plugin alone")


def _run(program, *, quiet=True, **environment):
    """The lines that the program prints; it must end with status 0, soon, and in silence."""
    settings = {**os.environ, "JAX_PLATFORMS": f"{registration.PLATFORM},cpu", **environment}
    ran = subprocess.run([sys.executable, "-c", BEGIN + program], env=settings, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, (ran.returncode, ran.stdout, ran.stderr)
    if quiet:
        assert ran.stderr == ""
    return ran.stdout.splitlines()


CALLBACK = """
def fail(x):
    raise {kind}("chosen to fail")
shape = jax.ShapeDtypeStruct((2,), np.float32)
f = jax.jit(lambda x: jax.pure_callback(fail, shape, x) + 1)
{body}
"""


@pytest.mark.parametrize("kind", ["ValueError", "MemoryError", "StopIteration"])
def test_exception_in_a_callback(kind):
    # JAX itself logs the traceback of a callback that fails.
    body = "raised(lambda: f(jnp.ones(2)))\nraised(lambda: f(jnp.ones(2)))\nalive()"
    lines = _run(CALLBACK.format(kind=kind, body=body), quiet=False)
    assert lines[-1] == "alive"
    assert len(lines) == 3
    for line in lines[:2]:
        assert line.startswith("jax JaxRuntimeError ") and f"{kind}: chosen to fail" in line


def test_exception_in_a_callback_inside_of_a_loop_ends_the_loop():
    body = """
seen = []
def third(i):
    seen.append(int(i))
    if i == 2:
        raise ValueError("third turn")
    return np.float32(i)
def turn(i, total):
    return total + jax.pure_callback(third, jax.ShapeDtypeStruct((), np.float32), i)
raised(lambda: jax.jit(lambda x: jax.lax.fori_loop(0, 1000, turn, x))(jnp.float32(0)))
print(seen)
alive()
"""
    lines = _run(CALLBACK.format(kind="ValueError", body=body), quiet=False)
    assert "third turn" in lines[0] and lines[1:] == ["[0, 1, 2]", "alive"]


def test_results_of_a_failed_program_fail_and_are_forgotten():
    body = """
try:
    kept = [f(jnp.ones(2)) for _ in range(3)]
except jax.errors.JaxRuntimeError:
    kept = []
for x in kept:
    raised(lambda: x + 1)
    raised(lambda: np.asarray(x))
del kept
alive()
"""
    lines = _run(CALLBACK.format(kind="ValueError", body=body), quiet=False)
    assert lines.pop() == "alive"
    assert all("chosen to fail" in line for line in lines)


# Failures inside of MLX's evaluation cannot be brought about from here: tests/rust/host_failures.rs, main_thread.rs and
# src/runtime/failing.rs have them.


# -- no device -----------------------------------------------------------------

# What every allocation of MLX's comes to on a Mac without a usable GPU (ssh, a sandbox, some virtual machines), its CPU
# backend's too.
NO_METAL = """
#include <stdexcept>
namespace mlx::core::allocator {
class Allocator;
__attribute__((visibility("default"))) Allocator& allocator() {
  throw std::runtime_error("[metal::load_device] No Metal device available.");
}
} // namespace mlx::core::allocator
"""


@pytest.fixture(scope="session")
def no_metal(tmp_path_factory):
    """A library that, loaded first, takes the device from MLX."""
    folder = tmp_path_factory.mktemp("no_metal")
    source, library = folder / "no_metal.cpp", folder / "no_metal.so"
    source.write_text(NO_METAL)
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are put in front of others by LD_PRELOAD")
@pytest.mark.parametrize("kind", ["", "cpu"])
def test_without_a_usable_device_the_platform_is_not_found(no_metal, kind):
    program = """
import jax
try:
    jax.devices("mps")
except RuntimeError as error:
    print(error)
print("end")
"""
    settings = {**os.environ, "JAX_PLATFORMS": f"{registration.PLATFORM},cpu", "LD_PRELOAD": no_metal, "JAX_MPS_DEVICE": kind}
    ran = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, (ran.returncode, ran.stdout, ran.stderr)
    *message, end = ran.stdout.splitlines()
    assert end == "end"
    assert "NOT_FOUND: mlx finds no device that it can use: [metal::load_device] No Metal device available." in " ".join(message)


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are put in front of others by LD_PRELOAD")
def test_without_a_usable_device_jax_goes_on_with_its_own_cpu(no_metal):
    program = "import jax; print(jax.default_backend(), float(jax.numpy.ones(3).sum()))"
    settings = {**os.environ, "LD_PRELOAD": no_metal}
    del settings["JAX_PLATFORMS"]
    ran = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, timeout=120)
    # Its own GPU, where there is one that it knows.
    own = [f"{name} 3.0\n" for name in ("cpu", "gpu")]
    assert ran.returncode == 0 and ran.stdout in own, (ran.returncode, ran.stdout, ran.stderr)


# -- threads -------------------------------------------------------------------


def test_endless_loops_keep_no_other_program_waiting():
    program = """
endless = jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) >= 0, lambda x: x * 0.5 + 0.5, x))
kept = [endless(jnp.ones(3) + n) for n in range(6)]
alive()
"""
    assert _run(program) == ["alive"]


def test_other_threads_compute_during_a_long_decomposition(device):
    if "CPU" in device.device_kind:
        pytest.skip("the host's processor computes one thing after the other; a GPU goes on beside it")
    program = """
import threading, time
d = jax.devices()[0]
x, y = (jax.device_put(np.random.default_rng(0).normal(size=(n, n)).astype(np.float32), d) for n in (1800, 64))
decompose = jax.jit(lambda x: jnp.linalg.svd(x, compute_uv=False) * 2)
product = jax.jit(lambda y: y @ y)
for _ in range(2):
    product(y).block_until_ready()
done, took = threading.Event(), []
def work():
    begun = time.perf_counter()
    decompose(x).block_until_ready()
    took.append(time.perf_counter() - begun)
    done.set()
decompose(x[:8, :8]).block_until_ready()
threading.Thread(target=work).start()
longest = count = 0
while not done.is_set():
    begun = time.perf_counter()
    product(y).block_until_ready()
    longest, count = max(longest, time.perf_counter() - begun), count + 1
print(count > 20 and longest < took[0] / 4, count, longest, took)
"""
    (line,) = _run(program)
    assert line.startswith("True "), line


def test_matrices_that_lapack_refuses_are_nan_and_no_fault():
    program = """
x = jnp.array([[1.0, 2.0], [2.0, 1.0]])
print(bool(jnp.isnan(jnp.linalg.cholesky(x)[1, 1])))
bad = jnp.full((3, 3), jnp.nan)
print(bool(jnp.isnan(jnp.linalg.eigh(bad)[0]).any()), bool(jnp.isnan(jnp.linalg.svd(bad)[1]).all()))
print(bool(jnp.isfinite(jnp.linalg.inv(jnp.zeros((2, 2)))).any()))
alive()
"""
    assert _run(program) == ["True", "True True", "False", "alive"]


def test_what_is_not_supported_is_named():
    program = """
call = jax.ffi.ffi_call("no_such_target", jax.ShapeDtypeStruct((2,), np.float32))
raised(lambda: jax.jit(lambda x: call(x) + 1)(jnp.ones(2)))
alive()
"""
    refused, alive = _run(program)
    assert refused.startswith("jax JaxRuntimeError UNIMPLEMENTED") and "no_such_target" in refused
    assert alive == "alive"


# -- memory --------------------------------------------------------------------

LARGE = {
    "result": "jax.jit(lambda x: jnp.broadcast_to(x, (2**22, 2**20)) + 1)(jnp.float32(1))",
    "intermediate": "jax.jit(lambda x: jnp.sort(jnp.outer(x, x), axis=0)[3])(jnp.ones(2**21))",
    "in a loop": "jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, x: jnp.sort(jnp.outer(x, x), axis=0)[i], x))(jnp.ones(2**21))",
}


@pytest.mark.parametrize("kind", LARGE)
def test_array_beyond_all_memory_is_refused_with_its_size(kind):
    refused, alive = _run(f"raised(lambda: {LARGE[kind]})\nalive()")
    assert refused.startswith("jax JaxRuntimeError RESOURCE_EXHAUSTED: out of memory: "), refused
    assert f"needs {4 * 2**42} bytes, and mlx may allocate " in refused
    assert alive == "alive"


def test_array_beyond_a_limit_is_refused_and_runs_without_it():
    program = """
from jax_plugins import mps
f = jax.jit(lambda x: jnp.sort(jnp.outer(x, x), axis=0)[3])
before = mps.set_memory_limit(2**20)
raised(lambda: f(jnp.ones(1024)))
mps.set_memory_limit(before)
print(float(f(jnp.ones(1024))[0]))
alive()
"""
    refused, *rest = _run(program)
    assert f"needs {4 * 2**20} bytes, and mlx may allocate {2**20}" in refused
    assert rest == ["1.0", "alive"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems enforce no limit of the address space")
def test_memory_that_the_system_refuses_is_an_error_and_the_process_goes_on(device):
    if "CPU" not in device.device_kind:
        pytest.skip("a GPU's memory is not the system's")
    program = """
import resource
f = jax.jit(lambda x: jnp.sort(jnp.outer(x, x), axis=0)[3])
x = jnp.ones(2**14)
alive()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
raised(lambda: f(x))
alive()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    alive, refused, alive_again = _run(program)
    assert alive == alive_again == "alive"
    assert refused.startswith("jax JaxRuntimeError RESOURCE_EXHAUSTED: out of memory: stablehlo."), refused
    assert f"needs {4 * 2**28} bytes, which the system refuses" in refused


def test_memory_analysis_counts_what_lives_between_arguments_and_results(device):
    import jax
    import jax.numpy as jnp

    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    compiled = jax.jit(lambda x: jnp.sin(jnp.sort(jnp.cos(x)))).lower(x).compile()
    analysis = compiled.memory_analysis()
    assert (analysis.argument_size_in_bytes, analysis.output_size_in_bytes) == (4000, 4000)
    assert analysis.temp_size_in_bytes == 8000


# -- deleted arrays ------------------------------------------------------------


def test_deleted_array_is_refused_everywhere():
    program = """
x = jnp.ones(4)
x.delete()
f = jax.jit(lambda x: x + 1)
g = jax.jit(lambda x: jax.pure_callback(np.negative, jax.ShapeDtypeStruct((4,), np.float32), x))
for use in (f, g, np.asarray, lambda x: jax.device_put(x, jax.devices("cpu")[0]), lambda x: x.block_until_ready()):
    raised(lambda: use(x))
donating = jax.jit(lambda x: x * 2, donate_argnums=0)
y = jnp.ones(4)
donating(y).block_until_ready()
raised(lambda: donating(y))
raised(lambda: jax.jit(lambda x, y: x + y, donate_argnums=0)(y, y))
alive()
"""
    *refused, alive = _run(program)
    assert len(refused) == 7 and alive == "alive"
    for line in refused:
        assert line.split()[1] in ("RuntimeError", "ValueError", "JaxRuntimeError") and "deleted" in line, line


# -- the end of the interpreter ------------------------------------------------

ENDS = {
    "a loop that does not end": """
endless = jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) >= 0, lambda x: x * 0.5 + 0.5, x))
kept = endless(jnp.ones(3)) + 1
""",
    "products": """
f = jax.jit(lambda x: (x @ x) / 512)
x = jnp.ones((512, 512))
for _ in range(60):
    x = f(x)
""",
    "a copy to the host": """
x = jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((1024, 1024)))
x.copy_to_host_async()
""",
    "a callback that waits": """
import threading, time
inside = threading.Event()
def wait(x):
    inside.set()
    time.sleep(0.5)
    return np.asarray(x)
f = jax.jit(lambda x: jax.pure_callback(wait, jax.ShapeDtypeStruct((3,), np.float32), x))
threading.Thread(target=lambda: f(jnp.ones(3)).block_until_ready()).start()
inside.wait()
""",
    # Not daemons: CPython 3.11 to 3.13 ends those wherever they are, inside of jaxlib too, which aborts with XLA:CPU as well.
    "threads that outlive the main one": """
import threading
def work():
    x = jnp.ones(3)
    for n in range(30):
        x = jax.jit(lambda x: x + n % 7)(x)
        x.block_until_ready()
for _ in range(3):
    threading.Thread(target=work).start()
""",
    "programs run by atexit": """
import atexit
f = jax.jit(lambda x: x * 2)
atexit.register(lambda: f(jnp.ones(3)).block_until_ready())
""",
    "arrays that only modules hold": """
import sys
sys.kept = [jnp.ones(3), jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile()]
sys.kept.append(sys.kept)
""",
}


@pytest.mark.parametrize("work", ENDS)
def test_interpreter_ends_in_silence_during(work):
    assert _run(ENDS[work] + "\nprint('end', flush=True)") == ["end"]
