"""Inspects a wheel for macOS without a Mac: what would stop it from being installed or loaded."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import re
import zipfile

import lief

from toolchain import DEPLOYMENT_TARGET, MLX, ROOT, RUST, SDK, WHEEL_PLATFORM

PLUGIN = "jax_plugins/mps/libjax_mps.dylib"
# The second is of mlx-rs: rustc exports what any crate marks as not to be mangled. Nobody looks it up.
EXPORTS = {"_GetPjrtApi", "_default_mlx_error_handler"}
# The Python module of the cargo feature `python`, which the wheel's library is built with. What such a library needs of
# Python, whatever process loads it must have: the symbols of the stable ABI, looked up in no library by name.
PYTHON_EXPORT = "_PyInit__native"
PYTHON_SYMBOL = re.compile(r"__?Py")
STABLE_ABI = pathlib.Path(__file__).with_name("stable_abi.txt")
FLAT_LOOKUP = 0xFE
# Needed on a Mac alone: without these its code was left out.
IMPORTS = {"_objc_autoreleasePoolPush", "_objc_autoreleasePoolPop"}
INSTALL_NAME = "@rpath/libjax_mps.dylib"
# From site-packages/jax_plugins/mps to site-packages/mlx/lib.
RPATHS = ["@loader_path/../../mlx/lib"]
LARGEST_WHEEL = 10_000_000

# What the product may load, and where the symbols are listed that it offers.
SYSTEM = {
    "/usr/lib/libSystem.B.dylib": "libSystem.tbd",
    "/usr/lib/libc++.1.dylib": "libc++.tbd",
    "/usr/lib/libiconv.2.dylib": "libiconv.tbd",
    "/usr/lib/libobjc.A.dylib": "libobjc.tbd",
}
MLX_NAME = "@rpath/libmlx.dylib"


def check(wheel: pathlib.Path) -> list[str]:
    """What is wrong with the wheel; empty when nothing is."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    problems = check_wheel(wheel, contents)
    if PLUGIN in contents:
        problems += check_library(contents[PLUGIN])
    return problems


def check_wheel(wheel: pathlib.Path, contents: dict[str, bytes]) -> list[str]:
    """Tags, size, contents and record."""
    problems = []

    def expect(holds: bool, problem: str) -> None:
        if not holds:
            problems.append(f"{wheel.name}: {problem}")

    tag = f"py3-none-{WHEEL_PLATFORM}"
    expect(wheel.stem.endswith(f"-{tag}"), f"tag other than {tag}")
    expect(wheel.stat().st_size <= LARGEST_WHEEL, f"{wheel.stat().st_size} bytes, more than {LARGEST_WHEEL}")
    for name in (PLUGIN, "jax_plugins/mps/__init__.py"):
        expect(name in contents, f"no {name}")
    info = next((n.split("/")[0] for n in contents if n.endswith(".dist-info/METADATA")), None)
    if info is None:
        return [*problems, f"{wheel.name}: no metadata"]
    tags = re.findall(r"(?m)^Tag: (\S+)$", contents.get(f"{info}/WHEEL", b"").decode())
    expect(tags == [tag], f"WHEEL has tags {tags}")
    metadata = contents[f"{info}/METADATA"].decode()
    expect("Requires-Dist: mlx-metal==" in metadata, "does not depend on mlx-metal")
    recorded = dict(
        line.rsplit(",", 2)[:2] for line in contents.get(f"{info}/RECORD", b"").decode().splitlines() if line
    )
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if not name.endswith("/RECORD"):
            expect(recorded.get(name) == f"sha256={digest}", f"RECORD is wrong about {name}")
    return problems


def check_library(content: bytes, python: bool = True) -> list[str]:
    """Architecture, load commands, exports, imports, paths; ``python``: whether it has the Python module."""
    problems = []

    def expect(holds: bool, problem: str) -> None:
        if not holds:
            problems.append(f"{pathlib.Path(PLUGIN).name}: {problem}")

    universal = lief.MachO.parse(list(content))
    if universal is None or universal.size != 1:
        return [f"{PLUGIN}: not a Mach-O file of one architecture"]
    library = universal.at(0)
    header = library.header
    expect(header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64, f"for {header.cpu_type}")
    expect(header.file_type == lief.MachO.Header.FILE_TYPE.DYLIB, f"a {header.file_type}")
    oldest = library.build_version.minos if library.has_build_version else []
    expected = [*map(int, DEPLOYMENT_TARGET.split(".")), 0]
    expect(list(oldest) == expected, f"for macOS {oldest}")
    # Apple silicon runs nothing unsigned; the linker signs ad hoc.
    expect(library.has_code_signature, "not signed")

    exports = {symbol.name for symbol in library.exported_symbols}
    wanted = EXPORTS | {PYTHON_EXPORT} if python else EXPORTS
    expect(exports == wanted, f"exports {sorted(exports)[:10]} instead of {sorted(wanted)}")
    identity = lief.MachO.LoadCommand.TYPE.ID_DYLIB
    names = [each.name for each in library.libraries if each.command == identity]
    expect(names == [INSTALL_NAME], f"install name {names}")
    rpaths = [rpath.path for rpath in library.rpaths]
    expect(rpaths == RPATHS, f"rpaths {rpaths}")

    imports = {symbol.name for symbol in undefined_symbols(library)}
    expect(imports >= IMPORTS, f"does not use {sorted(IMPORTS - imports)}")
    loaded = [each.name for each in library.libraries if each.command != identity]
    expect(MLX_NAME in loaded, "does not load MLX")
    problems += [f"loads {name}" for name in loaded if name not in SYSTEM and name != MLX_NAME]
    problems += missing_symbols(library, loaded, stable_abi() if python else set())

    for path in {str(ROOT), str(RUST), str(pathlib.Path.home())}:
        # Root's home and the like are too short to mean anything by themselves.
        found = re.search(re.escape(path.encode()) + rb"/[\x20-\x7e]*", content)
        expect(found is None, f"names a folder of this machine: {found and found[0][:120]}")
    return problems


def missing_symbols(library: lief.MachO.Binary, loaded: list[str], of_process: set[str]) -> list[str]:
    """Undefined symbols that the library named for each does not offer; ``of_process``: those that name none."""
    # The container must outlive what is read from it.
    container = lief.MachO.parse(str(MLX / "lib" / "libmlx.dylib"))
    offered = {MLX_NAME: {symbol.name for symbol in container.at(0).exported_symbols}}
    offered |= {name: stub_symbols(SDK / "usr/lib" / stub) for name, stub in SYSTEM.items()}
    problems = []
    for symbol in undefined_symbols(library):
        # Two-level namespace: the high byte is the position of the library.
        ordinal = symbol.description >> 8 & 0xFF
        if PYTHON_SYMBOL.match(symbol.name):
            if symbol.name not in of_process:
                where = "Python's stable ABI" if of_process else "a library without the Python module"
                problems.append(f"{symbol.name} is not of {where}")
            elif ordinal != FLAT_LOOKUP:
                problems.append(f"{symbol.name} is looked up in one library, and each Python has its own")
        elif not 1 <= ordinal <= len(loaded):
            problems.append(f"{symbol.name} is looked up in no library by name")
        elif symbol.name not in offered.get(loaded[ordinal - 1], set()):
            problems.append(f"{symbol.name} is not in {loaded[ordinal - 1]}")
    return problems


def stable_abi() -> set[str]:
    """Symbols that every CPython has from 3.11 on, with the underscore before every C symbol of Mach-O."""
    lines = STABLE_ABI.read_text().splitlines()
    return {f"_{line}" for line in lines if not line.startswith("#")}


def undefined_symbols(library: lief.MachO.Binary) -> list[lief.MachO.Symbol]:
    """What the loader must find elsewhere."""
    # No debugging entry (0xe0), not defined here (0x0e), external (1).
    return [s for s in library.symbols if not s.raw_type & 0xE0 and not s.raw_type & 0x0E and s.raw_type & 1]


def stub_symbols(path: pathlib.Path) -> set[str]:
    """Everything that a text-based stub exports."""
    text = path.read_text()
    symbols = set()
    for kind in ("symbols", "weak-symbols", "thread-local-symbols"):
        for listed in re.findall(rf"(?<![\w-]){kind}:\s*\[(.*?)\]", text, re.S):
            symbols |= {name.strip().strip("'\"") for name in listed.split(",")}
    return symbols - {""}
