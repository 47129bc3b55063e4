"""``make check-macos`` fails when something is wrong with the wheel: its inspection, on
libraries that are written here, a good one and broken ones."""

import base64
import hashlib
import pathlib
import struct
import sys
import zipfile

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_macos"


@pytest.fixture(scope="module")
def verify():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import verify

        yield verify
    finally:
        sys.path.remove(str(SCRIPTS))


# -- a writer of Mach-O ----------------------------------------------------------

LC_SEGMENT, LC_SYMTAB, LC_ID, LC_LOAD, LC_RPATH = 0x19, 0x2, 0xD, 0xC, 0x8000001C
LC_BUILD_VERSION, LC_CODE_SIGNATURE, LC_EXPORTS_TRIE = 0x32, 0x1D, 0x80000033
DYLIB, EXECUTABLE = 6, 2
ARM64, X86_64 = 0x0100000C, 0x01000007


def _text_command(command: int, fields: bytes, text: str) -> bytes:
    body = fields + text.encode() + b"\0"
    body += bytes(-len(body) % 8)
    return struct.pack("<II", command, 8 + len(body)) + body


def _library_command(command: int, name: str) -> bytes:
    return _text_command(command, struct.pack("<IIII", 24, 0, 0x10000, 0x10000), name)


def _segment(name: str, offset: int, size: int) -> bytes:
    return struct.pack("<II16sQQQQIIII", LC_SEGMENT, 72, name.encode(), offset, size, offset, size, 5, 5, 0, 0)


def _trie(names) -> bytes:
    """Names that all begin at the root, each at the address 0x1000."""
    number = lambda value: bytes([value & 0x7F | 0x80, value >> 7])  # noqa: E731  ULEB128 of two bytes
    root = 2 + sum(len(name) + 3 for name in names)
    edges = b"".join(
        name.encode() + b"\0" + number(root + 5 * index) for index, name in enumerate(names)
    )
    leaf = bytes([3, 0]) + number(0x1000) + b"\0"
    return bytes([0, len(names)]) + edges + leaf * len(names)


def macho(
    *,
    cpu=ARM64,
    kind=DYLIB,
    oldest=(14, 0),
    identity="@rpath/libjax_mps.dylib",
    loads=(),
    rpaths=(),
    exports=(),
    imports=(),
    signed=True,
    text=b"",
) -> bytes:
    """A library without code: ``imports`` are pairs of a symbol and the position (from 1) of its library."""
    strings, symbols = b"\0", b""
    for name, (types, section, description, value) in [
        *((name, (0x0F, 1, 0, 0x1000)) for name in exports),
        *((name, (0x01, 0, position << 8, 0)) for name, position in imports),
    ]:
        symbols += struct.pack("<IBBHQ", len(strings), types, section, description, value)
        strings += name.encode() + b"\0"
    count = len(symbols) // 16
    trie = _trie(exports)

    def commands(end: int) -> list[bytes]:
        first = end + len(text)
        offsets = (first, count, first + len(symbols), len(strings))
        exported = first + len(symbols) + len(strings)
        signature = exported + len(trie)
        return [
            _segment("__TEXT", 0, first),
            _segment("__LINKEDIT", first, len(symbols) + len(strings) + len(trie) + 16),
            _library_command(LC_ID, identity),
            *(_library_command(LC_LOAD, name) for name in loads),
            *(_text_command(LC_RPATH, struct.pack("<I", 12), path) for path in rpaths),
            struct.pack("<IIIIII", LC_BUILD_VERSION, 24, 1, oldest[0] << 16 | oldest[1] << 8, 14 << 16, 0),
            struct.pack("<IIIIII", LC_SYMTAB, 24, *offsets),
            struct.pack("<IIII", LC_EXPORTS_TRIE, 16, exported, len(trie)),
            *([struct.pack("<IIII", LC_CODE_SIGNATURE, 16, signature, 16)] if signed else []),
        ]

    size = len(b"".join(commands(0)))
    listed = commands(32 + size)
    header = struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, 0, kind, len(listed), size, 0x85, 0)
    return b"".join([header, *listed, text, symbols, strings, trie, bytes(16)])


# -- the library -----------------------------------------------------------------

SYSTEM, OBJC, MLX = "/usr/lib/libSystem.B.dylib", "/usr/lib/libobjc.A.dylib", "@rpath/libmlx.dylib"
GOOD = {
    "loads": (SYSTEM, OBJC, MLX),
    "rpaths": ("@loader_path/../../mlx/lib",),
    "exports": ("_GetPjrtApi", "_default_mlx_error_handler", "_PyInit__native"),
    "imports": (
        ("_malloc", 1),
        ("_objc_autoreleasePoolPush", 2),
        ("_objc_autoreleasePoolPop", 2),
        ("__ZN3mlx4core3addE", 3),
        # Of the process: looked up by no library's name.
        ("_PyDict_New", 254),
        ("__Py_NoneStruct", 254),
    ),
}
WITHOUT_PYTHON = {"exports": GOOD["exports"][:2], "imports": GOOD["imports"][:4]}


@pytest.fixture
def inspected(verify, tmp_path, monkeypatch):
    """Inspects such a library beside an MLX that offers one symbol."""
    (tmp_path / "lib").mkdir()
    mlx = macho(identity=MLX, exports=["__ZN3mlx4core3addE"])
    (tmp_path / "lib" / "libmlx.dylib").write_bytes(mlx)
    stubs = tmp_path / "sdk" / "usr" / "lib"
    stubs.mkdir(parents=True)
    for name, symbols in {
        "libSystem": "_malloc, _free",
        "libc++": "",
        "libiconv": "",
        "libobjc": "'_objc_autoreleasePoolPush', '_objc_autoreleasePoolPop'",
    }.items():
        (stubs / f"{name}.tbd").write_text(f"exports:\n  - targets: [ arm64-macos ]\n    symbols: [ {symbols} ]\n")
    monkeypatch.setattr(verify, "MLX", tmp_path)
    monkeypatch.setattr(verify, "SDK", tmp_path / "sdk")
    return lambda python=True, **changes: verify.check_library(macho(**{**GOOD, **changes}), python)


def test_a_good_library_has_no_problem(inspected):
    assert inspected() == []


def test_a_library_without_the_python_module_has_no_python_symbol(inspected):
    assert inspected(python=False, **WITHOUT_PYTHON) == []
    problems = inspected(python=False)
    assert problems[0].startswith("libjax_mps.dylib: exports [")
    assert problems[1:] == [
        "_PyDict_New is not of a library without the Python module",
        "__Py_NoneStruct is not of a library without the Python module",
    ]


def _with(name: str, position: int):
    return {"imports": (*GOOD["imports"], (name, position))}


BROKEN = {
    "a symbol that MLX lacks": (_with("__ZN3mlx4core11made_up_opE", 3), "__ZN3mlx4core11made_up_opE is not in @rpath"),
    "a symbol that the system lacks": (_with("_made_up", 1), "_made_up is not in /usr/lib/libSystem.B.dylib"),
    "a symbol of the wrong library": (_with("_free", 3), "_free is not in @rpath/libmlx.dylib"),
    "a symbol of no library": (_with("_free", 254), "_free is looked up in no library by name"),
    "a symbol beyond the stable ABI": (_with("_PyUnstable_Code_New", 254), "_PyUnstable_Code_New is not of Python's stable"),
    "a symbol of one Python": (_with("_PyDict_Next", 1), "_PyDict_Next is looked up in one library"),
    "no Python module": ({"exports": GOOD["exports"][:2]}, "instead of ['_GetPjrtApi', '_PyInit__native', "),
    "no pools": ({"imports": (GOOD["imports"][0], *GOOD["imports"][3:])}, "does not use ['_objc_autoreleasePoolPop"),
    "another architecture": ({"cpu": X86_64}, "for CPU_TYPE.X86_64"),
    "not a library": ({"kind": EXECUTABLE}, "a FILE_TYPE.EXECUTE"),
    "a newer system": ({"oldest": (15, 0)}, "for macOS [15, 0, 0]"),
    "an export too many": ({"exports": (*GOOD["exports"], "_cblas_sgemm")}, "exports ['_GetPjrtApi', '_PyInit__native', '_cblas_sgemm'"),
    "no entry point": ({"exports": GOOD["exports"][1:]}, "exports ['_PyInit__native', '_default_mlx_error_handler'] instead of"),
    "another install name": ({"identity": "/tmp/libjax_mps.dylib"}, "install name ['/tmp/libjax_mps.dylib']"),
    "no rpath": ({"rpaths": ()}, "rpaths []"),
    "an absolute rpath": ({"rpaths": (*GOOD["rpaths"], "/opt/mlx/lib")}, "rpaths ['@loader_path/../../mlx/lib', '/opt"),
    "another library": ({"loads": (*GOOD["loads"], "/opt/homebrew/lib/libz.dylib")}, "loads /opt/homebrew/lib/libz"),
    "no MLX": ({"loads": (SYSTEM, OBJC), "imports": (*GOOD["imports"][:3], *GOOD["imports"][4:])}, "does not load MLX"),
    "no signature": ({"signed": False}, "not signed"),
    "a folder of the build machine": (
        {"text": f"{pathlib.Path.home()}/src/secret.rs".encode()},
        "names a folder of this machine",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_library_is_told_from_a_good_one(name, inspected):
    changes, problem = BROKEN[name]
    problems = inspected(**changes)
    assert len(problems) == 1, problems
    assert problem in problems[0]


def test_what_is_no_library_is_told(verify):
    assert verify.check_library(b"no library") == [f"{verify.PLUGIN}: not a Mach-O file of one architecture"]


# -- the tools -------------------------------------------------------------------


@pytest.fixture(scope="module")
def tools(verify):
    import tools

    return tools


def test_the_compiler_is_told_target_and_headers_by_us_alone(tools):
    given = ["-O1", "--target=arm64-apple-macosx", "-arch", "arm64", "-mmacosx-version-min=14.0", "-isysroot", "/sdk"]
    command = tools.compiler("c++", [*given, "-c", "a.cpp", "-o", "a.o"])
    assert command[:4] == [str(tools.ZIG), "c++", "-target", "aarch64-macos.14.0"]
    assert command[-5:] == ["-O1", "-c", "a.cpp", "-o", "a.o"]
    assert tools.compiler("c++", ["--version"]) == [str(tools.ZIG), "c++", "--version"]


def test_the_linker_gets_what_a_compiler_would_hand_on(tools, tmp_path):
    response = tmp_path / "arguments"
    response.write_text("-Wl,-exported_symbol,_GetPjrtApi\na.o\n")
    command = tools.linker(["-dynamiclib", "-arch", "arm64", f"@{response}", "-mmacosx-version-min=14.0", "-lmlx"])
    assert command[:2] == [str(tools.LD64), "-dylib"]
    assert "-mmacosx-version-min=14.0" not in command
    assert command[-6:] == ["-exported_symbol", "_GetPjrtApi", "a.o", "-lmlx", "-L/usr/lib", "-lSystem"]


# -- the wheel -------------------------------------------------------------------

INFO = "jax_mps-0.1.0.dist-info"
NAME = "jax_mps-0.1.0-py3-none-macosx_14_0_arm64.whl"


def _wheel(folder: pathlib.Path, name: str = NAME, record: str | None = None, **changes: bytes) -> pathlib.Path:
    contents = {
        "jax_plugins/mps/__init__.py": b"",
        "jax_plugins/mps/libjax_mps.dylib": b"library",
        f"{INFO}/METADATA": b"Name: jax-mps\nRequires-Dist: mlx-metal==0.32.4\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-macosx_14_0_arm64\n",
        **{key.replace("INFO", INFO): value for key, value in changes.items()},
    }
    if record is None:
        digest = lambda c: base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().rstrip("=")  # noqa: E731
        record = "".join(f"{n},sha256={digest(c)},{len(c)}\n" for n, c in contents.items())
    contents[f"{INFO}/RECORD"] = f"{record}{INFO}/RECORD,,\n".encode()
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return folder / name


def _problems(verify, wheel: pathlib.Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return verify.check_wheel(wheel, {name: archive.read(name) for name in archive.namelist()})


def test_a_good_wheel_has_no_problem(verify, tmp_path):
    assert _problems(verify, _wheel(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": NAME.replace("14", "15")}, "tag other than py3-none-macosx_14_0_arm64"),
        ({"INFO/WHEEL": b"Tag: py3-none-any\n"}, "WHEEL has tags ['py3-none-any']"),
        ({"INFO/METADATA": b"Name: jax-mps\n"}, "does not depend on mlx-metal"),
        ({"record": ""}, "RECORD is wrong about jax_plugins/mps/__init__.py"),
        ({"large": bytes(10_000_001)}, "bytes, more than 10000000"),
    ],
    ids=["file name", "tag", "dependency", "record", "size"],
)
def test_a_broken_wheel_is_told_from_a_good_one(changes, problem, verify, tmp_path):
    assert any(problem in found for found in _problems(verify, _wheel(tmp_path, **changes)))


def test_a_wheel_without_the_library_is_told(verify, tmp_path):
    wheel = _wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".dylib")}
    assert f"{NAME}: no {verify.PLUGIN}" in verify.check_wheel(wheel, contents)
