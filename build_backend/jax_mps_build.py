"""PEP 517 build backend of jax-mps.

maturin writes the metadata and the source distribution; cargo builds the
plugin; this module puts the two into a wheel. maturin's own ``build-wheel`` is
not used because it knows no plain cdylib: its ``cffi`` kind, the only one that
is neither tied to a Python version nor a program, adds a generated Python
module around the library.

Everything the Rust build needs beyond a C++ compiler is a registry package in
the build environment; :func:`build_environment` says where each one lies. Run
this file to get the same settings for a shell::

    eval "$(python build_backend/jax_mps_build.py)"; cargo test
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

import mlir_prefix

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "jax_plugins/mps"
# cargo and maturin read this variable too: scripts/check_macos builds for macOS on Linux.
TARGET = os.environ.get("CARGO_BUILD_TARGET") or sys.platform
LIBRARY = "libjax_mps.dylib" if "darwin" in TARGET else "libjax_mps.so"

# The oldest macOS that the MLX wheels support.
MACOS_TARGET = "14.0"
# What libstdc++ offers on every system of MLX's own platform tag
# (manylinux_2_35), per PEP 600's policies.
NEWEST_PORTABLE_GLIBCXX = 30


# -- where the tools are -----------------------------------------------------


def build_environment(*, mlir: bool = False) -> dict[str, str]:
    """Settings for cargo, from the packages of the running Python.

    Whatever the caller's environment already sets stays as it is. Those for the
    feature ``mlir`` are there where its packages are; with ``mlir`` their absence
    is an error.
    """
    found = {"MLX_PREFIX": _mlx_prefix(), "PROTOC": _protoc()}
    # pyo3 is built for the stable ABI, and so not for the Python that it would find.
    found["PYO3_NO_PYTHON"] = "1"
    if sys.platform == "darwin":
        # bindgen uses Xcode's libclang, which comes with the compiler.
        found["MACOSX_DEPLOYMENT_TARGET"] = MACOS_TARGET
    else:
        found["LIBCLANG_PATH"] = _libclang()
        # The libclang package has no compiler headers (stddef.h ...): gcc's do.
        found["BINDGEN_EXTRA_CLANG_ARGS"] = f"-idirafter {_gcc_include()}"
    if mlir or mlir_prefix.available():
        found |= mlir_prefix.make(ROOT / "target" / "mlir")
    return {
        name: os.environ.get(name, value)
        for name, value in found.items()
        if name in os.environ or value
    }


def _package_folder(package: str, marker: str) -> str | None:
    """The folder of ``package`` (not imported) that holds the path ``marker``."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (pathlib.Path(folder) / marker).exists():
            return str(folder)
    return None


def _mlx_prefix() -> str | None:
    return _package_folder("mlx", "include/mlx/mlx.h")


def _libclang() -> str | None:
    folder = _package_folder("clang", "native")
    return folder and os.path.join(folder, "native")


def _protoc() -> str | None:
    # The program itself: the `protoc` on PATH is a script of this Python.
    folder = _package_folder("protoc", "data/bin/protoc")
    return os.path.join(folder, "data/bin/protoc") if folder else shutil.which("protoc")


def _gcc_include() -> str:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        return _output([*compiler, "-print-file-name=include"]).strip()
    except FileNotFoundError:
        raise SystemExit(
            "jax-mps: a C and C++ compiler is needed to build (`cc` not found)"
        ) from None


def _cargo() -> str:
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    found = os.environ.get("CARGO") or shutil.which(
        "cargo", path=os.pathsep.join([os.environ.get("PATH", ""), f"{home}/bin"])
    )
    if not found:
        raise SystemExit("jax-mps: Rust is needed to build; see https://rustup.rs")
    return found


def _output(command: list[str], **options) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, **options
    ).stdout


# -- building ----------------------------------------------------------------


def _wants_mlir(config_settings) -> bool:
    """``pip install . -C mlir=true``: the plugin with MLIR's reader beside its own."""
    value = (config_settings or {}).get("mlir", "false")
    if value not in ("true", "false"):
        raise SystemExit(f"jax-mps: the setting mlir is true or false, not {value!r}")
    return value == "true"


def _build_library(*, for_wheel: bool, mlir: bool) -> pathlib.Path:
    """Builds the plugin and returns the path of its library."""
    environment = {**os.environ, **build_environment(mlir=mlir)}
    environment.pop("JAX_MPS_WHEEL", None)
    if for_wheel:
        # Leaves the build machine's folders out (build.rs).
        environment["JAX_MPS_WHEEL"] = "1"
    # Python's processes load this library: the module behind jax_plugins.mps.memory_info() is in it.
    command = [_cargo(), "build", "--release", "--locked", "--lib", "--features", "python"]
    command.append("--message-format=json-render-diagnostics")
    if mlir:
        command += ["--features", "mlir"]
    messages = _output(command, cwd=ROOT, env=environment).splitlines()
    artifacts = (m for m in map(json.loads, messages) if "filenames" in m)
    for artifact in artifacts:
        if artifact["target"]["name"] == "jax_mps":
            for name in artifact["filenames"]:
                if pathlib.Path(name).name == LIBRARY:
                    return pathlib.Path(name)
    raise SystemExit(f"jax-mps: cargo built no {LIBRARY}")


def _platform_tag(library: pathlib.Path, maturin_tag: str) -> str:
    """The wheel's platform: on Linux the oldest glibc that will do.

    That is the newest of the glibc versions which the library's symbols and
    the MLX wheel ask for; a plain ``linux`` tag, for this machine only, where
    the compiler's C++ library is newer than that of such a system.
    """
    if not maturin_tag.startswith("linux_"):
        return maturin_tag
    content = library.read_bytes()
    versions = lambda pattern: [int(v) for v in re.findall(pattern, content)]  # noqa: E731
    if max(versions(rb"GLIBCXX_3\.4\.(\d+)"), default=0) > NEWEST_PORTABLE_GLIBCXX:
        return maturin_tag
    mlx = importlib.metadata.distribution("mlx-cpu").read_text("WHEEL") or ""
    needed = versions(rb"GLIBC_2\.(\d+)")
    needed += [int(v) for v in re.findall(r"manylinux_2_(\d+)", mlx)]
    return maturin_tag.replace("linux_", f"manylinux_2_{max(needed)}_", 1)


def _write_dist_info(folder: str, *, mlir: bool) -> pathlib.Path:
    # `cffi` is the kind whose tag is py3-none: only the metadata is used.
    command = [_maturin(), "pep517", "write-dist-info", "--bindings", "cffi"]
    command += ["--metadata-directory", folder, "--interpreter", sys.executable]
    environment = {**os.environ, **build_environment()}
    # maturin prints its progress on stdout, and the folder's name last.
    name = _output(command, cwd=ROOT, env=environment).strip().splitlines()[-1]
    if mlir:
        # The library is linked where pip puts it, like MLX.
        metadata = pathlib.Path(folder) / name / "METADATA"
        head, separator, body = metadata.read_text(encoding="utf-8").partition("\n\n")
        requirement = f"\nRequires-Dist: {mlir_prefix.RUNTIME_REQUIREMENT}"
        metadata.write_text(head + requirement + separator + body, encoding="utf-8")
    return pathlib.Path(folder) / name


def _maturin() -> str:
    files = importlib.metadata.files("maturin") or ()
    return next(str(f.locate().resolve()) for f in files if f.name == "maturin")


def _write_wheel(
    wheel_directory: str, library: pathlib.Path, contents: dict[str, bytes], *, mlir: bool
) -> str:
    """Zips ``contents`` (path in the wheel -> bytes) with the metadata."""
    with tempfile.TemporaryDirectory() as temporary:
        dist_info = _write_dist_info(temporary, mlir=mlir)
        for path in sorted(p for p in dist_info.rglob("*") if p.is_file()):
            name = f"{dist_info.name}/{path.relative_to(dist_info).as_posix()}"
            contents[name] = path.read_bytes()
    wheel_file = f"{dist_info.name}/WHEEL"
    tag = re.search(r"Tag: py3-none-(\S+)", contents[wheel_file].decode())[1]
    platform = _platform_tag(library, tag)
    contents[wheel_file] = (
        "Wheel-Version: 1.0\nGenerator: jax_mps_build\nRoot-Is-Purelib: false\n"
        f"Tag: py3-none-{platform}\n"
    ).encode()
    record = f"{dist_info.name}/RECORD"
    contents[record] = _record(contents, record)

    stem = dist_info.name.removesuffix(".dist-info")
    wheel = f"{stem}-py3-none-{platform}.whl"
    # One fixed time, so that equal contents give equal wheels.
    stamp = max(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), 315532800)
    with zipfile.ZipFile(
        pathlib.Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED
    ) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, time.gmtime(stamp)[:6])
            executable = name.endswith(LIBRARY)
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return wheel


def _record(contents: dict[str, bytes], record: str) -> bytes:
    def digest(content: bytes) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")

    lines = [f"{n},sha256={digest(c)},{len(c)}" for n, c in contents.items()]
    return ("\n".join([*lines, f"{record},,"]) + "\n").encode()


# -- PEP 517 and PEP 660 -----------------------------------------------------


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    mlir = _wants_mlir(config_settings)
    library = _build_library(for_wheel=True, mlir=mlir)
    contents = {
        path.relative_to(ROOT / "python").as_posix(): path.read_bytes()
        for path in sorted((ROOT / "python" / PACKAGE).rglob("*.py"))
    }
    contents[f"{PACKAGE}/{LIBRARY}"] = library.read_bytes()
    return _write_wheel(wheel_directory, library, contents, mlir=mlir)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Uses ``python/`` in place; the library is copied there, to be replaced
    by the next ``pip install -e`` or overruled by JAX_MPS_LIBRARY_PATH."""
    mlir = _wants_mlir(config_settings)
    library = _build_library(for_wheel=False, mlir=mlir)
    shutil.copy2(library, ROOT / "python" / PACKAGE / LIBRARY)
    path = f"{ROOT / 'python'}\n".encode()
    return _write_wheel(wheel_directory, library, {"jax_mps_editable.pth": path}, mlir=mlir)


def get_requires_for_build_wheel(config_settings=None):
    return mlir_prefix.REQUIREMENTS if _wants_mlir(config_settings) else []


get_requires_for_build_editable = get_requires_for_build_wheel


def build_sdist(sdist_directory, config_settings=None):
    command = [_maturin(), "pep517", "write-sdist", "--sdist-directory", sdist_directory]
    return _output(command, cwd=ROOT).strip().splitlines()[-1]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return _write_dist_info(metadata_directory, mlir=_wants_mlir(config_settings)).name


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


if __name__ == "__main__":
    for setting, content in build_environment().items():
        print(f"export {setting}={shlex.quote(content)}")
