"""The Makefile under GNU make 3.81, Apple's: it ignores ``.SHELLFLAGS``, as does a newer one that is given plain ones."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="needs make and a checkout"
)


@pytest.fixture
def environment(tmp_path):
    """A virtual environment that is ready and built, whose commands note that they ran and succeed."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in (".ready", ".built", ".mlir"):
        (venv / name).write_text("something\n")
    for name in ("python", "cargo"):
        _command(venv / "bin" / name, f'echo "{name} $*" >> {tmp_path}/log')
    return venv


def _command(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _make(venv, *arguments, made=(".ready", ".built", ".mlir")):
    old = [option for name in made for option in ("-o", str(venv / name))]
    return subprocess.run(
        ["make", ".SHELLFLAGS=-c", "NEXTEST=", f"VENV={venv}", *old, *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_lists_the_targets_in_columns(environment):
    result = _make(environment, "help")
    assert result.returncode == 0, result.stderr
    lines = {line.split()[1]: line for line in result.stdout.splitlines() if line.startswith("  make ")}
    assert {"demo", "test", "ops-document", "bench-dispatch"} <= set(lines)
    starts = {line.index(line.split(maxsplit=2)[2]) for line in lines.values()}
    assert len(starts) == 1


@pytest.mark.parametrize("failing", ["cargo clippy", "cargo build", "cargo test", "python -m pytest"])
def test_a_command_that_fails_in_the_middle_fails_test_mlir(environment, failing):
    _fail(environment, failing)
    assert _make(environment, "test-mlir").returncode != 0


def test_a_target_whose_commands_succeed_succeeds(environment):
    result = _make(environment, "test-mlir")
    assert result.returncode == 0, result.stderr
    log = (environment.parent / "log").read_text()
    assert "cargo clippy" in log and "python -m pytest" in log and "cargo test" in log


@pytest.mark.parametrize("target", ["test-rust", "bench-dispatch", "lint", "test-metal", "test-mlir"])
def test_without_the_build_environment_nothing_is_built(environment, target):
    _fail(environment, "python build_backend")
    assert _make(environment, target).returncode != 0
    assert "cargo clippy" not in (environment.parent / "log").read_text()


def _fail(environment, failing):
    name, argument = failing.split(" ", 1)
    log = environment.parent / "log"
    _command(environment / "bin" / name, f'echo "{name} $*" >> {log}\ncase "$*" in {argument.split()[0]}*) \
        case "$*" in *{argument.split()[-1]}*) exit 1;; esac;; esac')


def test_an_old_python_is_named(tmp_path):
    """With the words of Python 3.9: the tests' own is newer, and says that it is not."""
    old = tmp_path / "python3.9"
    # What stands behind -c, under another version.
    script = "import sys; sys.version_info = (3, 9, 6, 'final', 0); exec(sys.argv.pop(1))"
    _command(old, f'[ "$1" = -c ] || exit 3\nexec {sys.executable} -c "{script}" "$2"')
    result = _make(tmp_path / "venv", f"PYTHON={old}", "venv", made=())
    assert result.returncode != 0
    assert "needs Python 3.11 or newer, not 3.9: make PYTHON=" in result.stderr
