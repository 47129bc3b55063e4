"""``python scripts/check_macos``: cross-builds the wheel for macOS on Debian and inspects it.

    --wheel FILE   only inspects a wheel that is there already

What passes compiles for macOS, and needs nothing that MLX's wheel and the system do not offer. Whether it runs, only a
Mac can tell: docs/macos.md.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import toolchain  # noqa: E402


def build() -> pathlib.Path:
    """Builds the wheel in a process of its own, which the build backend reads its settings in."""
    wheels = toolchain.FOLDER / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.glob("*.whl"):
        old.unlink()
    program = "import jax_mps_build, sys; print(jax_mps_build.build_wheel(sys.argv[1]))"
    environment = {**os.environ, **toolchain.environment()}
    # What is looked at is how it is linked, not how fast it is.
    environment["CARGO_PROFILE_RELEASE_OPT_LEVEL"] = "1"
    environment["PYTHONPATH"] = str(toolchain.ROOT / "build_backend")
    subprocess.run([sys.executable, "-c", program, wheels], check=True, env=environment)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=pathlib.Path, help="inspect this wheel, build none")
    options = parser.parse_args()
    start = time.monotonic()
    toolchain.install()
    print(f"check-macos: toolchain there after {time.monotonic() - start:.0f} s", flush=True)
    wheel = options.wheel or build()
    print(f"check-macos: {wheel.name}, {wheel.stat().st_size} bytes, {time.monotonic() - start:.0f} s", flush=True)

    import verify

    problems = verify.check(wheel)
    for problem in problems:
        print(f"check-macos: {problem}")
    print(f"check-macos: {'FAILED' if problems else 'passed'}", flush=True)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
