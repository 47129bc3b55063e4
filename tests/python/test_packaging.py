"""The built wheel and what builds it. ``make build`` leaves the wheel in
target/wheels; JAX_MPS_WHEEL_FILE names another."""

import base64
import hashlib
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from jax_plugins.mps import library

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MACOS = sys.platform == "darwin"
LIBRARY = f"jax_plugins/mps/libjax_mps.{'dylib' if MACOS else 'so'}"


@pytest.fixture(scope="module")
def wheel():
    named = os.environ.get("JAX_MPS_WHEEL_FILE")
    built = [pathlib.Path(named)] if named else sorted((ROOT / "target/wheels").glob("*.whl"))
    assert len(built) == 1, f"expected one wheel, found {built}: run `make build`"
    with zipfile.ZipFile(built[0]) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    return built[0].name, contents


@pytest.fixture(scope="module")
def backend():
    path = ROOT / "build_backend" / "jax_mps_build.py"
    # What `backend-path` does in pip's builds: the backend imports its neighbour.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("jax_mps_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _metadata(contents, name):
    (path,) = (n for n in contents if n.endswith(f".dist-info/{name}"))
    return contents[path].decode()


def test_one_wheel_serves_every_python(wheel):
    name, contents = wheel
    tag = re.fullmatch(r"jax_mps-[^-]+-(py3-none-[^-]+)\.whl", name)
    assert tag
    assert f"Tag: {tag[1]}\n" in _metadata(contents, "WHEEL")


def test_wheel_holds_the_plugin_and_nothing_else(wheel):
    _, contents = wheel
    assert LIBRARY in contents
    assert "jax_plugins/mps/__init__.py" in contents
    # jax_plugins is shared with other plugins: a namespace without __init__.
    others = [
        n
        for n in contents
        if not re.fullmatch(r"jax_plugins/mps/\w+\.py|jax_mps-[\d.]+\.dist-info/.+", n)
    ]
    assert others == [LIBRARY]


def test_record_lists_every_file_with_its_hash(wheel):
    _, contents = wheel
    record = dict(line.split(",", 1) for line in _metadata(contents, "RECORD").splitlines())
    assert set(record) == set(contents)
    for name, entry in record.items():
        if not name.endswith("/RECORD"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest())
            assert entry == f"sha256={digest.decode().rstrip('=')},{len(contents[name])}"


def test_metadata_asks_for_jax_without_upper_bound_and_exact_mlx(wheel):
    _, contents = wheel
    metadata = _metadata(contents, "METADATA")
    assert "Requires-Dist: jax>=0.9\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    pins = re.findall(r"Requires-Dist: (mlx[\w-]*)==(\S+) ; (.*)", metadata)
    assert {p[0] for p in pins} == {"mlx-metal", "mlx-cpu", "mlx-cuda-13"}
    assert {p[1] for p in pins} == {library.MLX_VERSION}
    assert "mps=jax_plugins.mps" in _metadata(contents, "entry_points.txt").replace(" ", "")


def test_build_requirements_pin_the_same_mlx():
    requirements = PROJECT["build-system"]["requires"]
    pins = [r for r in requirements if r.startswith("mlx-")]
    assert len(pins) == 2
    assert all(f"=={library.MLX_VERSION};" in pin for pin in pins)
    assert all("==" in r for r in requirements)


def test_library_finds_mlx_by_a_relative_path_only(wheel, tmp_path):
    _, contents = wheel
    path = tmp_path / pathlib.Path(LIBRARY).name
    path.write_bytes(contents[LIBRARY])
    command = ["otool", "-l", path] if MACOS else ["readelf", "-d", path]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pattern = r"LC_RPATH\n.*\n\s+path (\S+)" if MACOS else r"R(?:UN)?PATH\).*\[(.*)\]"
    origin = "@loader_path" if MACOS else "$ORIGIN"
    assert re.findall(pattern, listing) == [f"{origin}/../../mlx/lib"]
    assert re.search(r"libmlx\.(so|dylib)", listing)


@pytest.mark.skipif(MACOS, reason="make check-macos inspects the library for macOS")
def test_library_has_the_python_module_and_needs_the_stable_abi_only(wheel):
    import lief

    _, contents = wheel
    # Must outlive its symbols.
    binary = lief.ELF.parse(list(contents[LIBRARY]))
    symbols = list(binary.dynamic_symbols)
    exports = {symbol.name for symbol in symbols if symbol.shndx != 0}
    assert {"GetPjrtApi", "PyInit__native"} <= exports
    needed = {symbol.name for symbol in symbols if symbol.shndx == 0 and re.match("_?Py", symbol.name)}
    lines = (ROOT / "scripts/check_macos/stable_abi.txt").read_text().splitlines()
    assert needed and needed <= set(lines)


@pytest.mark.skipif(MACOS, reason="the platform tag of macOS says no glibc")
def test_platform_tag_covers_the_library_and_mlx(wheel):
    import importlib.metadata

    name, contents = wheel
    tag = re.search(r"-(manylinux_2_(\d+)|linux)_\w+\.whl", name)
    needed = [int(v) for v in re.findall(rb"GLIBC_2\.(\d+)", contents[LIBRARY])]
    mlx = importlib.metadata.distribution("mlx-cpu").read_text("WHEEL")
    needed += [int(v) for v in re.findall(r"manylinux_2_(\d+)", mlx)]
    # A plain `linux` tag claims nothing beyond the machine that built it.
    assert tag[2] is None or int(tag[2]) >= max(needed)


def test_wheel_apart_from_mlx_still_finds_it(wheel, tmp_path):
    _, contents = wheel
    for name, content in contents.items():
        if name.startswith("jax_plugins/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import jax, jax_plugins.mps\n"
        "print(jax_plugins.mps.__file__); print(jax.jit(lambda x: x * 2)(3.0), jax.default_backend())"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert result.stdout == f"{tmp_path}/jax_plugins/mps/__init__.py\n6.0 mps\n", result.stderr


def test_build_environment_names_what_exists(backend, monkeypatch):
    for name in ("MLX_PREFIX", "PROTOC", "LIBCLANG_PATH", "BINDGEN_EXTRA_CLANG_ARGS"):
        monkeypatch.delenv(name, raising=False)
    found = backend.build_environment()
    assert (pathlib.Path(found["MLX_PREFIX"]) / "include/mlx/mlx.h").is_file()
    version = subprocess.run([found["PROTOC"], "--version"], capture_output=True, text=True)
    assert version.stdout.startswith("libprotoc ")
    if not MACOS:
        assert list(pathlib.Path(found["LIBCLANG_PATH"]).glob("libclang*"))
        headers = pathlib.Path(found["BINDGEN_EXTRA_CLANG_ARGS"].split()[1])
        assert (headers / "stddef.h").is_file()


def test_build_environment_leaves_the_callers_settings(backend, monkeypatch):
    monkeypatch.setenv("MLX_PREFIX", "/elsewhere/mlx")
    assert backend.build_environment()["MLX_PREFIX"] == "/elsewhere/mlx"


def test_source_distribution_can_be_built_from(backend, tmp_path):
    name = backend.build_sdist(str(tmp_path))
    with tarfile.open(tmp_path / name) as archive:
        files = {member.name.split("/", 1)[1] for member in archive.getmembers()}
    wanted = {"Cargo.toml", "Cargo.lock", "build.rs", "pyproject.toml", "LICENSE", "README.md"}
    wanted |= {"build_backend/jax_mps_build.py"}
    for folder in ("crates", "proto", "python/jax_plugins/mps", "src"):
        wanted |= {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.suffix in (".rs", ".toml", ".lock", ".cpp", ".h", ".proto", ".py")
            and "target" not in path.parts
        }
    assert wanted <= files


def test_make_explains_itself():
    # Not as a part of the `make` that may be running these tests.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    result = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    for target in ("make demo", "make test", "make bench"):
        assert target in result.stdout
