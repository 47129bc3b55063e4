"""Tries one built wheel under several releases of JAX and Python.

Makes a virtual environment for each, installs the wheel and MLX, and runs
scripts/smoke_test.py there. Ends with status 1 if any of them fails.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# (JAX, Python): the newest for the oldest Python, the oldest, the newest.
MATRIX = (("0.10.2", "3.11"), ("0.9.0", "3.13"), ("0.12.0.1", "3.13"))


def find_python(version: str) -> str | None:
    """An interpreter of ``version`` from PATH or pyenv."""
    installed = (pathlib.Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3")
    for candidate in [shutil.which(f"python{version}"), *sorted(installed)]:
        # pyenv puts a script on PATH for versions that are not switched on.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return str(candidate)
    return None


def make_environment(folder: pathlib.Path, python: str, jax: str) -> pathlib.Path:
    """A virtual environment with that JAX; made once, then kept."""
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        _pip(interpreter, "install", f"jax=={jax}")
        (folder / "ready").touch()
    return interpreter


def _pip(interpreter: pathlib.Path, *arguments: str) -> None:
    command = [interpreter, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "smoke")
    options = parser.parse_args()
    # On Linux the wheel leaves the choice of MLX to an extra.
    extra = "[cpu]" if sys.platform == "linux" else ""

    failed = []
    for jax, version in MATRIX:
        name = f"jax {jax} on Python {version}"
        print(f"== {name}", flush=True)
        python = find_python(version)
        if python is None:
            print(f"no Python {version} found")
            failed.append(name)
            continue
        folder = options.folder / f"jax-{jax}-py{version}"
        interpreter = make_environment(folder, python, jax)
        _pip(interpreter, "uninstall", "--yes", "jax-mps")
        # The pin makes pip refuse a wheel whose requirements would move JAX.
        _pip(interpreter, "install", f"{options.wheel.resolve()}{extra}", f"jax=={jax}")
        test = [interpreter, ROOT / "scripts" / "smoke_test.py"]
        if subprocess.run(test, cwd=folder).returncode:
            failed.append(name)
    print("failed: " + "; ".join(failed) if failed else "all agree with the CPU backend")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
