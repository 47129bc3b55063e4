"""Programs that wait for the device on their way run behind the caller's back."""

import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

PLATFORM_HAS_JOBS = "mps"


@pytest.fixture(autouse=True)
def on_device(device, monkeypatch):
    # Loops turn by turn, which take their time: as native code they would be over before anybody looks.
    monkeypatch.setenv("JAX_MPS_PLACE", "device")
    with jax.default_device(device):
        yield


def _turns(x, turns):
    """As many turns of a loop whose end only the device knows."""

    def more(state):
        count, x = state
        return count < turns + jnp.int32(jnp.sum(x) * 0)

    return jax.lax.while_loop(more, lambda state: (state[0] + 1, state[1] + 1), (jnp.int32(0), x))[1]


slow = jax.jit(lambda x: _turns(x, 2000))
quick = jax.jit(lambda x: _turns(x, 3))


def test_caller_goes_on_while_a_loop_runs(device):
    if device.platform != PLATFORM_HAS_JOBS:
        pytest.skip("XLA:CPU runs loops as it likes")
    y = slow(jnp.zeros(4))
    assert not y.is_ready()
    np.testing.assert_array_equal(y, 4 * [2000.0])
    assert y.is_ready()


def test_caller_goes_on_while_native_code_runs(device, monkeypatch):
    monkeypatch.setenv("JAX_MPS_PLACE", "auto")
    turns = 100_000_000
    y = jax.jit(lambda x: _turns(x, turns))(jnp.zeros((), jnp.int32))
    if device.platform == PLATFORM_HAS_JOBS:
        assert not y.is_ready()
    z = y + 1
    assert int(z) == turns + 1 and y.is_ready()


def test_results_to_come_are_arguments_of_further_programs():
    x = slow(jnp.zeros(4))
    y = jax.jit(lambda x, y: x * 2 + y)(x, jnp.ones(4))
    z = quick(y)
    w = x + z
    np.testing.assert_array_equal(z, 4 * [4004.0])
    np.testing.assert_array_equal(w, 4 * [6004.0])
    np.testing.assert_array_equal(x, 4 * [2000.0])


def test_results_to_come_can_be_donated():
    step = jax.jit(lambda x: _turns(x, 3), donate_argnums=0)
    x = slow(jnp.zeros(4))
    for _ in range(5):
        y = step(x)
        assert x.is_deleted()
        with pytest.raises(RuntimeError, match="deleted"):
            np.asarray(x)
        x = y
    np.testing.assert_array_equal(x, 4 * [2015.0])


def test_results_to_come_can_be_deleted_and_still_used_by_what_was_called_before():
    x = slow(jnp.zeros(4))
    y = quick(x)
    x.delete()
    np.testing.assert_array_equal(y, 4 * [2003.0])


def test_arguments_may_be_deleted_while_a_program_runs():
    x = jnp.zeros(4) + 1
    y = slow(x)
    x.delete()
    np.testing.assert_array_equal(y, 4 * [2001.0])


def test_programs_with_callbacks_wait_for_their_arguments():
    x = slow(jnp.zeros(4))
    y = jax.jit(lambda x: jax.pure_callback(np.negative, jax.ShapeDtypeStruct(x.shape, x.dtype), x))(x)
    np.testing.assert_array_equal(y, 4 * [-2000.0])


def test_failure_of_an_argument_to_come_reaches_what_uses_it():
    def fail(x):
        raise ValueError("chosen to fail")

    with pytest.raises(jax.errors.JaxRuntimeError, match="chosen to fail"):
        bad = jax.jit(lambda x: jax.pure_callback(fail, jax.ShapeDtypeStruct(x.shape, x.dtype), x))(jnp.ones(4))
        jax.block_until_ready(quick(bad) + 1)
    np.testing.assert_array_equal(quick(jnp.zeros(4)), 4 * [3.0])


def test_results_to_come_can_be_copied_viewed_and_moved(device):
    x = slow(jnp.zeros(4))
    np.testing.assert_array_equal(jax.device_put(x, jax.devices("cpu")[0]), 4 * [2000.0])
    x = slow(jnp.zeros(4))
    assert x.unsafe_buffer_pointer() != 0
    x = slow(jnp.zeros(4))
    moved = jax.device_put(x, jax.sharding.SingleDeviceSharding(device, memory_kind="pinned_host"))
    np.testing.assert_array_equal(moved, 4 * [2000.0])


def test_many_programs_at_once_from_many_threads():
    wrong = []

    def work(start):
        x = jnp.full(4, start)
        for _ in range(40):
            x = quick(x)
        if not np.array_equal(x, 4 * [start + 120.0]):
            wrong.append(start)

    threads = [threading.Thread(target=work, args=(float(start),)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_programs_than_may_be_underway():
    x = jnp.zeros(4)
    for _ in range(300):
        x = quick(x)
    np.testing.assert_array_equal(x, 4 * [900.0])


EXIT = """
import jax, jax.numpy as jnp
endless = jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) >= 0, lambda x: x * 0.5 + 0.5, x))
results = [endless(jnp.ones(3)) + 1 for _ in range(3)]
print("done")
"""


def test_process_ends_while_programs_run(device):
    if device.platform != PLATFORM_HAS_JOBS:
        pytest.skip("XLA:CPU waits for its programs")
    ran = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


DAEMON = """
import sys, threading, time
import jax, jax.numpy as jnp, numpy as np
endless = jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) >= 0, lambda x: x * 0.5 + 0.5, x))
# To end Python while a thread compiles is another matter: jaxlib bears it on no platform.
for shape in [(3,), (4,), ()]:
    np.asarray(endless(-jnp.ones(shape)) + 1)
jax.device_put(jnp.ones(3), jax.devices('cpu')[0]).block_until_ready()
waiting = threading.Event()
after_callback = jax.jit(lambda x: endless(jax.pure_callback(np.asarray, jax.ShapeDtypeStruct((3,), 'float32'), x)))
after_callback(-np.ones(3, 'float32')).block_until_ready()
def work():
    waiting.set()
    {wait}
threading.Thread(target=work, daemon=True).start()
waiting.wait()
time.sleep(1)
print("done", flush=True)
"""


@pytest.mark.parametrize(
    "wait",
    [
        "endless(jnp.ones(3))",
        "endless(jnp.ones(3)).block_until_ready()",
        "jax.block_until_ready([endless(jnp.ones(3)), endless(jnp.ones(4))])",
        "np.asarray(endless(jnp.ones(3)))",
        "np.asarray(endless(jnp.ones(3)) + 1)",
        "float(endless(jnp.ones(())))",
        "jax.device_put(endless(jnp.ones(3)), jax.devices('cpu')[0]).block_until_ready()",
        "endless(jnp.ones(3)).unsafe_buffer_pointer()",
        "after_callback(np.ones(3, 'float32'))",
    ],
)
def test_process_ends_well_while_a_daemon_thread_waits(wait, device):
    """Python ends such threads when they take its lock, and jaxlib does not bear that."""
    if device.platform != PLATFORM_HAS_JOBS:
        pytest.skip("XLA:CPU computes these loops inside of the call")
    program = DAEMON.format(wait=wait)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


BEGINS_LATE = """
import os, sys, threading, time, types
os.environ["JAX_MPS_TRACE"] = path = sys.argv[1]
os.mkfifo(path)
import jax, jax.numpy as jnp
waiting = threading.Event()
def work():
    waiting.set()
    jnp.ones(3)
class Last:
    def __del__(self, open=os.open, path=path, how=os.O_RDONLY, sleep=time.sleep, write=os.write):
        # While Python ends: the client has been waiting for a reader of its trace.
        open(path, how)
        write(1, b"opened\\n")
        sleep(1)
sys.modules["last"] = types.ModuleType("last")
sys.modules["last"].last = Last()
threading.Thread(target=work, daemon=True).start()
waiting.wait()
time.sleep(2)
print("done", flush=True)
"""


def test_process_ends_well_while_a_daemon_thread_opens_the_device(device, tmp_path):
    """What takes a GPU seconds takes the CPU none, so here the client waits for somebody to read its trace."""
    if device.platform != PLATFORM_HAS_JOBS:
        pytest.skip("XLA:CPU writes no trace")
    program = [sys.executable, "-c", BEGINS_LATE, str(tmp_path / "trace")]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\nopened\n", "")


FREE = """
#include <malloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
void __libc_free(void*);
static volatile int ends, clears;
void the_end_begins(void) { ends = 1; }
void free(void* memory) {
  if (ends && memory) {
    if (syscall(SYS_gettid) != getpid()) {
      if (clears) abort();
    } else if (malloc_usable_size(memory) > 100000) {
      clears = 1;
      usleep(2000);
    }
  }
  __libc_free(memory);
}
"""

ENDS_EARLY = """
import ctypes
import jax, jax.numpy as jnp
a = jnp.full((2000, 2000), 1e-3)
@jax.jit
def products(x):
    for _ in range(60):
        x = a @ x
    return x
kept = jax.block_until_ready([jnp.full(35_000, i) for i in range(200)])
x = products(jnp.ones(2000)).block_until_ready()
del kept
for _ in range(5):
    x = products(x)
this = ctypes.CDLL(None)
this.the_end_begins()
this.exit(0)
"""


def test_process_ends_well_while_the_device_computes(device, tmp_path):
    """MLX's threads free arrays while the main one destroys its CPU allocator, without the lock: mlx 0.32.4."""
    if sys.platform != "linux" or not device.device_kind.startswith("MLX CPU"):
        pytest.skip("MLX destroys its other allocators never, and XLA:CPU is not MLX")
    (tmp_path / "free.c").write_text(FREE)
    shared = tmp_path / "free.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shared, tmp_path / "free.c"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(shared)}
    program = [sys.executable, "-c", ENDS_EARLY]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
