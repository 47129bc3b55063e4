"""A compiler and linker for aarch64-apple-darwin on Debian 12, from package registries alone.

* rustc, cargo and the sources of Rust's standard library: Debian's ``rustc-web`` and its kin, unpacked, not installed;
* C++ and Apple's C headers: zig, from PyPI;
* the linker: Debian's ``lld-19``, whose ``ld64.lld`` speaks Mach-O (zig's own links its C++ library into the
  product, and MLX needs the system's);
* stubs of the system's libraries: libSystem's is zig's, libc++'s is written from the exports of Debian's libc++;
* MLX: the headers and the dylib of the wheel ``mlx-metal``.
"""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import zipfile

import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "target" / "macos-toolchain"

TARGET = "aarch64-apple-darwin"
DEPLOYMENT_TARGET = "14.0"
WHEEL_PLATFORM = "macosx_14_0_arm64"

PYTHON_PACKAGES = ("ziglang==0.17.1",)
RUST_PACKAGES = ("rustc-web", "cargo-web", "rust-web-src", "libstd-rust-web-dev")
LINKER_PACKAGES = ("lld-19",)
# Of their dependencies the libraries are taken too, but those that every Debian with a C compiler has.
LIBRARIES = re.compile(r"(lib|zlib)(?!c6|gcc-|stdc\+\+|crypt1)(?!.*-dev$)|libstd-rust-web-dev")
LIBCXX_PACKAGES = ("libc++1-16", "libc++abi1-16")

PYTHON = FOLDER / "python"
RUST = FOLDER / "rust"
LINKER = FOLDER / "linker"
LIBCXX = FOLDER / "libcxx"
SDK = FOLDER / "sdk"
MLX = FOLDER / "mlx-metal" / "mlx"
BIN = FOLDER / "bin"

# Of Objective-C's runtime, by the specification of clang's automatic reference counting.
OBJC_SYMBOLS = ["_objc_autoreleasePoolPush", "_objc_autoreleasePoolPop"]

LD64 = LINKER / "usr/lib/llvm-19/bin/ld64.lld"
DEBIAN_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")


def install() -> None:
    """Downloads and unpacks what is not there yet."""
    for folder, make, packages in (
        (PYTHON, _python_packages, PYTHON_PACKAGES),
        (RUST, _debian_packages, RUST_PACKAGES),
        (LINKER, _debian_packages, LINKER_PACKAGES),
        (LIBCXX, _debian_packages, LIBCXX_PACKAGES),
        (MLX.parent, _mlx, (_mlx_requirement(),)),
    ):
        done = folder.with_name(f"{folder.name}.done")
        if done.exists() and done.read_text() == " ".join(packages):
            continue
        print(f"check-macos: {folder.relative_to(ROOT)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder, packages)
        done.write_text(" ".join(packages))
    _sdk()
    _programs()


def _run(*command: str | os.PathLike, **options) -> str:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(command, check=True, text=True, **options).stdout


def _pip(*arguments: str | os.PathLike) -> None:
    _run(sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", "--no-deps")


def _python_packages(folder: pathlib.Path, packages: tuple[str, ...]) -> None:
    _pip("install", "--target", folder, *packages)


def _apt(program: str, *arguments: str, **options) -> str:
    """apt with lists of its own, which needs neither root nor the machine's lists."""
    state = FOLDER / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        # Containers turn these off, and pay by reading the lists at every call.
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        # Root would hand the downloads to a user who may not write here.
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": "3",
    }
    command = [program, "-q"]
    for name, value in settings.items():
        command += ["-o", f"{name}={value}"]
    try:
        return _run(*command, *arguments, **options)
    except FileNotFoundError:
        raise SystemExit(f"check-macos: needs Debian 12: there is no {program}") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"check-macos: {program} {' '.join(arguments)} failed: {error}") from None


@functools.cache
def _update() -> None:
    """The lists of packages, once for each process that downloads any."""
    _apt("apt-get", "update")


def _with_libraries(packages: tuple[str, ...]) -> list[str]:
    found, new = set(), set(packages)
    while new:
        found |= new
        depends = re.findall(r"(?m)^  Depends: (\S+)$", _apt("apt-cache", "depends", *sorted(new)))
        new = {name for name in depends if LIBRARIES.match(name)} - found
    return sorted(found)


def _debian_packages(folder: pathlib.Path, packages: tuple[str, ...]) -> None:
    archives = folder.with_name(f"{folder.name}.debs")
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir()
    _update()
    _apt("apt-get", "download", *_with_libraries(packages), cwd=archives)
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg", "-x", archive, folder)
    shutil.rmtree(archives)


def _mlx_requirement() -> str:
    """The MLX that the package depends on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return next(r.split(";")[0] for r in project["dependencies"] if r.startswith("mlx-metal"))


def _mlx(folder: pathlib.Path, requirement: tuple[str, ...]) -> None:
    """Its wheel without its kernels."""
    _pip("download", *requirement, "--only-binary=:all:", "--platform", WHEEL_PLATFORM, "--dest", folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if not n.endswith(".metallib")])
    wheel.unlink()


# -- the SDK: stubs of the system's libraries --------------------------------

STUB = """--- !tapi-tbd
tbd-version: 4
targets: [ arm64-macos ]
install-name: '{install_name}'
exports:
  - targets: [ arm64-macos ]
    symbols: [ {symbols} ]
...
"""


def _sdk() -> None:
    shutil.rmtree(SDK, ignore_errors=True)
    libraries = SDK / "usr" / "lib"
    libraries.mkdir(parents=True)
    system = (PYTHON / "ziglang/lib/libc/darwin/libSystem.tbd").read_text()
    # lld 19 does not know the architectures that came later, of which none is ours.
    system = re.sub(r"\barm64e\.x1-\w+\s*,?\s*", "", system)
    system = re.sub(r"\barm64e-", "arm64-", system)
    (libraries / "libSystem.tbd").write_text(system)
    for part in ("libc", "libm", "libpthread", "libdl"):
        (libraries / f"{part}.tbd").symlink_to("libSystem.tbd")
    _stub(libraries / "libc++.tbd", "/usr/lib/libc++.1.dylib", _libcxx_symbols())
    # rustc names it for every program; nothing of it is used.
    _stub(libraries / "libiconv.tbd", "/usr/lib/libiconv.2.dylib", [])
    _stub(libraries / "libobjc.tbd", "/usr/lib/libobjc.A.dylib", OBJC_SYMBOLS)


def _stub(path: pathlib.Path, install_name: str, symbols: list[str]) -> None:
    listed = ", ".join(f"'{symbol}'" for symbol in symbols)
    path.write_text(STUB.format(install_name=install_name, symbols=listed))


def _libcxx_symbols() -> list[str]:
    """Both systems mangle alike, but for the underscore before every C symbol of Mach-O."""
    import lief

    symbols = set()
    for name in ("libc++.so.1", "libc++abi.so.1"):
        library = lief.parse(str((LIBCXX / "usr/lib/llvm-16/lib" / name).resolve()))
        symbols |= {f"_{s.name}" for s in library.dynamic_symbols if s.shndx != 0 and s.name}
    return sorted(symbols)


def debian_libraries(folder: pathlib.Path) -> str:
    """The folders of the libraries of unpacked packages, for the loader."""
    return os.pathsep.join(str(folder / libraries) for libraries in DEBIAN_LIBRARIES)


# -- programs ----------------------------------------------------------------


def _programs() -> None:
    """Small scripts under the names that cargo and the cc crate call."""
    shutil.rmtree(BIN, ignore_errors=True)
    BIN.mkdir(parents=True)
    for name in ("cargo", "rustc", "rustdoc"):
        path = f'"{debian_libraries(RUST)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"'
        _script(BIN / name, f'LD_LIBRARY_PATH={path} exec "{RUST}/usr/bin/{name}" "$@"')
    for name in ("cc", "c++", "ar", "ld"):
        _script(BIN / f"macos-{name}", f'exec "{sys.executable}" "{HERE}/tools.py" {name} "$@"')


def _script(path: pathlib.Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def environment() -> dict[str, str]:
    """What cargo, the build scripts and the build backend need to build for the Mac."""
    zig = PYTHON / "ziglang/lib"
    cargo_home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    # The product must not name the machine it was built on.
    remap = {str(RUST): "/rust", cargo_home: "/cargo", str(ROOT): "/jax-mps"}
    triple = TARGET.replace("-", "_")
    return {
        "CARGO": str(BIN / "cargo"),
        "RUSTC": str(BIN / "rustc"),
        "RUSTDOC": str(BIN / "rustdoc"),
        # Debian has no standard library for the Mac: it is built with the rest.
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_UNSTABLE_BUILD_STD": "std,panic_unwind",
        "CARGO_BUILD_TARGET": TARGET,
        "CARGO_TARGET_DIR": str(FOLDER / "build"),
        "CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER": str(BIN / "macos-ld"),
        "CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS": " ".join(
            f"--remap-path-prefix={old}={new}" for old, new in remap.items()
        ),
        # Stripping wants a tool that Debian's rustc does not bring, and would break the linker's signature.
        "CARGO_PROFILE_RELEASE_STRIP": "none",
        f"CC_{triple}": str(BIN / "macos-cc"),
        f"CXX_{triple}": str(BIN / "macos-c++"),
        f"AR_{triple}": str(BIN / "macos-ar"),
        f"CXXFLAGS_{triple}": " ".join(f"-ffile-prefix-map={old}={new}" for old, new in remap.items()),
        f"BINDGEN_EXTRA_CLANG_ARGS_{triple}": f"-nostdinc -isystem {zig}/include "
        f"-isystem {zig}/libc/include/any-darwin-any",
        "MACOSX_DEPLOYMENT_TARGET": DEPLOYMENT_TARGET,
        "SDKROOT": str(SDK),
        "MLX_PREFIX": str(MLX),
    }
