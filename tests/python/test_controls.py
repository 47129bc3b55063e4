"""What ``jax_plugins.mps`` offers beside JAX: information, memory, traces; and dumps of one program."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_plugins import mps
from jax_plugins.mps import library, native, registration

PUBLIC = {
    "info", "memory_info", "clear_cache", "set_cache_limit", "set_memory_limit", "reset_peak_memory", "start_capture",
    "stop_capture",
}  # fmt: skip
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def on_device(device):
    if device.platform != registration.PLATFORM:
        pytest.skip("of the plugin alone")
    with jax.default_device(device):
        yield


def _run(program, **environment):
    inherited = {n: t for n, t in os.environ.items() if n == "JAX_MPS_LIBRARY_PATH" or not n.startswith("JAX")}
    return subprocess.run(
        [sys.executable, "-c", program], env={**inherited, **environment}, capture_output=True, text=True, timeout=120
    )


# -- the module ----------------------------------------------------------------


def test_functions_are_there_and_documented():
    assert PUBLIC <= set(mps.__all__) and PUBLIC <= set(dir(mps))
    for name in PUBLIC:
        assert getattr(mps, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'unheard_of'"):
        mps.unheard_of


def test_importing_the_module_and_asking_for_memory_do_not_import_jax():
    program = (
        "import sys, jax_plugins.mps as mps\n"
        "loaded = lambda: [n for n in ('jax', 'jax_plugins.mps.native') if n in sys.modules]\n"
        "print(loaded())\n"
        "print(mps.memory_info()['in_use'], loaded())"
    )
    result = _run(program)
    assert result.stdout == "[]\n0 ['jax_plugins.mps.native']\n", result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_module_is_in_the_library_that_jaxlib_loaded():
    native.module()
    maps = pathlib.Path("/proc/self/maps").read_text()
    loaded = {line.split()[-1] for line in maps.splitlines() if "libjax_mps" in line}
    assert loaded == {str(library.library_path().resolve())}


def test_without_the_module_information_remains_and_controls_name_the_feature(monkeypatch):
    def without(path):
        raise ImportError("dynamic module does not define module export function (PyInit__native)", path=path)

    native.module.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(native, "_import", without)
        for call in (mps.memory_info, mps.clear_cache, mps.stop_capture, lambda: mps.set_cache_limit(1)):
            with pytest.raises(RuntimeError, match="without the cargo feature 'python'.*--features python"):
                call()
        info = mps.info()
    assert info["device"]["backend"] is None and info["device"]["properties"] == {}
    assert info["memory"].keys() == mps.memory_info().keys()


def test_free_threaded_python_is_told_why_there_is_no_module(monkeypatch):
    monkeypatch.setattr(native.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    with pytest.raises(RuntimeError, match="free-threaded Python"):
        native.module.__wrapped__()


# -- information ---------------------------------------------------------------


def test_information_is_complete_and_true(device, monkeypatch):
    monkeypatch.setenv("JAX_MPS_MADE_UP", "7")
    info = mps.info()
    assert info.keys() == {"versions", "python", "system", "paths", "environment", "device", "memory"}
    assert info["versions"]["jax"] == jax.__version__
    assert info["versions"]["jaxlib"] == jax.lib.__version__
    assert info["versions"]["mlx"] == library.MLX_VERSION
    assert info["versions"]["jax-mps"]
    assert sys.executable in info["python"]
    assert info["paths"]["library"] == str(library.library_path())
    assert pathlib.Path(info["paths"]["libmlx"]).is_file()
    assert info["environment"]["JAX_MPS_MADE_UP"] == "7"
    described = info["device"]
    assert described["kind"] == device.device_kind
    assert described["backend"] in ("cpu", "metal", "cuda")
    assert f"mlx {library.MLX_VERSION}" in described["runtime"]
    assert described["default"] == (jax.default_backend() == device.platform)
    assert {"architecture", "device_name"} <= described["properties"].keys()
    ours = native.module().info()
    assert ours["mlx"] == library.MLX_VERSION
    assert info["memory"].keys() == {"in_use", "peak", "cached", "limit"}


def test_information_without_a_device_has_the_reason(tmp_path):
    missing = str(tmp_path / "none.so")
    result = _run("import jax_plugins.mps as m; i = m.info(); print(i['device'], i['error'])", JAX_MPS_LIBRARY_PATH=missing)
    assert result.stdout.startswith("None ") and missing in result.stdout, result.stderr
    command = [sys.executable, "-m", "jax_plugins.mps"]
    environment = {**os.environ, "JAX_MPS_LIBRARY_PATH": missing}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "\ndevice       none: " in result.stdout and "JAX_MPS_LIBRARY_PATH names no file" in result.stdout


# -- memory --------------------------------------------------------------------


def test_memory_is_that_of_the_device(device):
    before = mps.memory_info()
    array = jax.device_put(np.zeros(MEGABYTE, np.float32))
    array.block_until_ready()
    held = mps.memory_info()
    stats = device.memory_stats()
    assert held["in_use"] == stats["bytes_in_use"] and held["limit"] == stats["bytes_limit"]
    assert held["in_use"] + held["cached"] == stats["pool_bytes"]
    assert held["in_use"] >= before["in_use"] + 4 * MEGABYTE
    assert held["peak"] >= held["in_use"]
    array.delete()
    assert mps.memory_info()["in_use"] < held["in_use"]


def test_peak_begins_anew():
    jax.device_put(np.zeros(4 * MEGABYTE, np.float32)).block_until_ready()
    assert mps.memory_info()["peak"] >= 16 * MEGABYTE
    mps.reset_peak_memory()
    (jax.device_put(np.zeros(8, np.float32)) + 1).block_until_ready()
    info = mps.memory_info()
    assert info["peak"] < info["in_use"] + 16 * MEGABYTE


def test_cache_is_cleared():
    jax.jit(lambda x: jnp.sin(x) * 2)(jnp.ones(MEGABYTE // 2)).block_until_ready()
    before = mps.memory_info()
    assert before["cached"] > 0
    mps.clear_cache()
    after = mps.memory_info()
    assert after["cached"] < before["cached"] and after["in_use"] <= before["in_use"]


def test_cache_limit_is_set_and_restored():
    before = mps.set_cache_limit(0)
    try:
        mps.clear_cache()
        jax.device_put(np.zeros(MEGABYTE, np.float32)).block_until_ready()
        assert mps.memory_info()["cached"] < MEGABYTE
        assert mps.set_cache_limit(np.int64(3 * MEGABYTE)) == 0
    finally:
        assert mps.set_cache_limit(before) in (0, 3 * MEGABYTE)
    assert mps.set_cache_limit(before) == before


def test_memory_limit_is_set_holds_and_is_restored():
    before = mps.set_memory_limit(MEGABYTE)
    try:
        assert mps.memory_info()["limit"] == MEGABYTE
        with pytest.raises(jax.errors.JaxRuntimeError, match=f"RESOURCE_EXHAUSTED.*{4 * MEGABYTE}.*{MEGABYTE}"):
            jax.jit(lambda x: jnp.repeat(x, 4) * 2)(jnp.ones(MEGABYTE // 4)).block_until_ready()
    finally:
        assert mps.set_memory_limit(before) == MEGABYTE
    assert mps.memory_info()["limit"] == before
    np.testing.assert_array_equal(jnp.arange(3) * 2, [0, 2, 4])


@pytest.mark.parametrize("setter", [mps.set_cache_limit, mps.set_memory_limit])
@pytest.mark.parametrize(("wrong", "error"), [(-1, ValueError), (2**63, ValueError), (1.5, TypeError), ("1G", TypeError)])
def test_what_is_no_size_is_refused(setter, wrong, error):
    with pytest.raises(error):
        setter(wrong)


# -- traces --------------------------------------------------------------------


def test_traces_are_refused_where_nothing_records(device, tmp_path):
    if native.module().info()["backend"] == "metal":
        pytest.skip("Metal records")
    with pytest.raises(RuntimeError, match="only Metal records traces, and this is C(pu|uda)"):
        mps.start_capture(tmp_path / "trace.gputrace")
    with pytest.raises(RuntimeError, match="no trace is being recorded"):
        mps.stop_capture()


@pytest.mark.skipif(sys.platform != "darwin", reason="Metal records")
def test_traces_are_recorded_between_start_and_stop(tmp_path):
    program = (
        "import sys, jax, jax.numpy as jnp, jax_plugins.mps as mps\n"
        "for wrong, error in ((sys.argv[1] + '.json', ValueError), (__file__ + '.gputrace', FileExistsError)):\n"
        "    try: mps.start_capture(wrong)\n"
        "    except error: pass\n"
        "mps.start_capture(sys.argv[1])\n"
        "jax.jit(lambda x: x @ x)(jnp.ones((512, 512))).block_until_ready()\n"
        "mps.stop_capture()"
    )
    script, trace = tmp_path / "script.py", tmp_path / "trace.gputrace"
    script.write_text(program)
    (tmp_path / "script.py.gputrace").touch()
    environment = {**os.environ, "MTL_CAPTURE_ENABLED": "1"}
    result = subprocess.run([sys.executable, script, trace], env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert trace.exists()


# -- dumps of one program ------------------------------------------------------


def test_one_program_is_dumped_into_the_folder_of_its_option(tmp_path):
    def marked(x):
        return jnp.sin(x) + 1

    jax.jit(lambda x: jnp.cos(x))(jnp.ones(3)).block_until_ready()
    for kind, compiled in {
        "jit": lambda folder: jax.jit(marked, compiler_options={"xla_dump_to": folder})(jnp.ones(3)),
        "compile": lambda folder: jax.jit(marked).lower(jnp.ones(3)).compile(compiler_options={"xla_dump_to": folder}),
    }.items():
        folder = tmp_path / kind / "made"
        compiled(str(folder))
        names = sorted(path.name.split(".", 1)[1] for path in folder.iterdir())
        assert {"00-received.mlirbc", "01-read.txt", "plan.txt"} <= set(names)
        # One program, and this one.
        assert len({path.name.split(".")[0] for path in folder.iterdir()}) == 1
        (read,) = folder.glob("*.01-read.txt")
        assert "sine" in read.read_text()
    unusable = str(pathlib.Path(__file__) / "folder")
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"xla_dump_to={unusable}: cannot be written to"):
        jax.jit(marked, compiler_options={"xla_dump_to": unusable})(jnp.ones(3))
    with pytest.raises(jax.errors.JaxRuntimeError, match="'xla_dump_to', 5 is not a valid string value"):
        jax.jit(marked, compiler_options={"xla_dump_to": 5})(jnp.ones(3))


def test_memory_stats_leave_out_what_is_not_counted(device):
    stats = device.memory_stats()
    assert set(stats) == {"bytes_in_use", "peak_bytes_in_use", "bytes_limit", "pool_bytes"}
    assert min(stats.values()) >= 0
    # Other platforms' devices answer as without the plugin.
    assert jax.devices("cpu")[0].memory_stats() is None


def test_a_folder_that_has_become_unusable_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_MPS_DUMP", str(pathlib.Path(__file__) / "folder"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="JAX_MPS_DUMP=.*: cannot be written to"):
        jax.jit(lambda x: jnp.sin(x) * 3)(jnp.ones(3))
    monkeypatch.setenv("JAX_MPS_DUMP", str(tmp_path))
    jax.jit(lambda x: jnp.sin(x) * 3)(jnp.ones(3))
    # A file of the next program stands where a folder is.
    number = max(int(path.name.split(".")[0].split("-")[1]) for path in tmp_path.iterdir()) + 1
    (tmp_path / f"{os.getpid()}-{number:05}.plan.txt").mkdir()
    with pytest.raises(jax.errors.JaxRuntimeError, match="plan.txt: cannot be written to"):
        jax.jit(lambda x: jnp.sin(x) * 4)(jnp.ones(3))


def test_an_unknown_compiler_option_is_told_of_once():
    result = _run(
        "import jax\n"
        "for options in ({'xla_unheard_of': 1}, {'xla_unheard_of': 2}, {'xla_embed_ir_in_executable': True}):\n"
        "    print(jax.jit(lambda x: x + 1, compiler_options=options)(1.0))"
    )
    assert result.stdout == 3 * "2.0\n", result.stderr
    assert result.stderr.count("compile option xla_unheard_of is not known on mps, and is ignored") == 1
    assert "xla_embed_ir" not in result.stderr
