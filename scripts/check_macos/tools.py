"""The compiler, archiver and linker that the build calls: each hands its arguments on in the form that the tool behind it
understands. ``tools.py cc|c++|ar|ld arguments…``"""

import os
import pathlib
import sys

from toolchain import DEPLOYMENT_TARGET, LD64, LINKER, PYTHON, SDK, debian_libraries

ZIG = PYTHON / "ziglang" / "zig"


def compiler(kind: str, arguments: list[str]) -> list[str]:
    """zig's clang, without what the cc crate adds for Apple's: target and SDK are zig's own."""
    if arguments == ["--version"]:
        # With more than that zig compiles nothing into a file a.o of the working directory.
        return [str(ZIG), kind, *arguments]
    kept = []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-arch", "-isysroot", "-target"):
            next(rest, None)
        elif not argument.startswith(("--target=", "-mmacosx-version-min=", "--sysroot=", "-isysroot")):
            kept.append(argument)
    command = [str(ZIG), kind, "-target", f"aarch64-macos.{DEPLOYMENT_TARGET}", "-fno-sanitize=all", "-g0"]
    if kind == "c++":
        # zig's C++ headers are newer than the system's library: with the vendor's annotations on, they keep to what the
        # deployment target's library has.
        command += ["-U_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS"]
        command += ["-D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=1"]
    return command + kept


def linker(arguments: list[str]) -> list[str]:
    """ld64.lld, from what rustc says to a C compiler that links."""
    arguments = list(_expanded(arguments))
    options = []
    shared = False
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith("-Wl,"):
            options += argument[4:].split(",")
        elif argument == "-Xlinker":
            options.append(next(rest))
        elif argument in ("-dynamiclib", "-shared"):
            shared = True
        elif argument in ("-target", "-isysroot"):
            next(rest)
        elif argument in ("-nodefaultlibs", "-pie", "-g"):
            pass
        elif argument.startswith(("--target", "-O", "-fuse-ld", "-mmacosx-version-min=")):
            pass
        else:
            options.append(argument)
    command = [str(LD64), *(["-dylib"] if shared else []), "-syslibroot", str(SDK)]
    if "-arch" not in options:
        command += ["-arch", "arm64"]
    command += ["-platform_version", "macos", DEPLOYMENT_TARGET, DEPLOYMENT_TARGET]
    return [*command, *options, "-L/usr/lib", "-lSystem"]


def _expanded(arguments: list[str]):
    """With the contents of response files in their place."""
    for argument in arguments:
        if argument.startswith("@") and pathlib.Path(argument[1:]).is_file():
            yield from (line for line in pathlib.Path(argument[1:]).read_text().splitlines() if line)
        else:
            yield argument


def main() -> None:
    kind, arguments = sys.argv[1], sys.argv[2:]
    if kind == "ld":
        command = linker(arguments)
        os.environ["LD_LIBRARY_PATH"] = debian_libraries(LINKER)
    elif kind == "ar":
        command = [str(ZIG), "ar", *arguments]
    else:
        command = compiler(kind, arguments)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
