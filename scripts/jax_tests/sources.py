"""Where JAX's tests come from, and what they need beside JAX."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
import urllib.request

# Module and distribution; without one of them cases vanish silently.
NEEDS = {
    "absl": "absl-py",
    "cloudpickle": "cloudpickle",
    "flatbuffers": "flatbuffers",
    "hypothesis": "hypothesis",
    "matplotlib": "matplotlib",
    "mpmath": "mpmath",
    "opt_einsum": "opt_einsum",
    "PIL": "pillow",
    "psutil": "psutil",
    "portpicker": "portpicker",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "scipy": "scipy",
}

ARCHIVE = "https://github.com/jax-ml/jax/archive/refs/tags/jax-v{version}.tar.gz"

# Small files with thousands of cases, which are made from the harnesses of other files.
LONG = ("export_harnesses_multi_platform_test", "shape_poly_test")


class SourceError(Exception):
    """The tests cannot be had, or are not those of the installed JAX."""


def missing_distributions() -> list[str]:
    return [name for module, name in NEEDS.items() if importlib.util.find_spec(module) is None]


def version_of(source: pathlib.Path) -> str:
    """The release that a source tree is."""
    path = source / "jax/version.py"
    if not path.is_file():
        raise SourceError(f"{source} is not a source tree of JAX: no jax/version.py")
    found = re.search(r'^_version = "([^"]+)"', path.read_text(), re.MULTILINE)
    if not found:
        raise SourceError(f"{path} states no version")
    return found[1]


def checked(source: pathlib.Path, version: str) -> pathlib.Path:
    came = version_of(source)
    if came != version:
        raise SourceError(f"expected the tests of jax {version}, the installed one; {source} is {came}")
    return source.resolve()


def download(version: str) -> pathlib.Path:
    """The release archive, unpacked once into the user's cache."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    target = cache / "jax-mps" / f"jax-{version}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    url = ARCHIVE.format(version=version)
    print(f"downloading {url}", flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = pathlib.Path(scratch)
        try:
            with urllib.request.urlopen(url, timeout=60) as answer, (folder / "a").open("wb") as file:
                shutil.copyfileobj(answer, file)
        except OSError as error:
            raise SourceError(
                f"could not download {url}: {error}; give a checkout with --jax-source"
            ) from error
        with tarfile.open(folder / "a") as archive:
            archive.extractall(folder / "tree", filter="data")
        (unpacked,) = (folder / "tree").iterdir()
        unpacked.rename(target)
    return target


def test_files(source: pathlib.Path, patterns: list[str]) -> list[pathlib.Path]:
    """The top-level test files that match, the largest first: they take longest."""
    everything = sorted((source / "tests").glob("*_test.py"))
    if patterns:
        chosen = []
        for pattern in patterns:
            name = pathlib.Path(pattern).name.removesuffix(".py")
            matches = [path for path in everything if path.match(f"{name}.py")]
            if not matches:
                raise SourceError(f"no test file matches {pattern!r} in {source / 'tests'}")
            chosen += [path for path in matches if path not in chosen]
        everything = chosen
    # The longest first, so that the last file to end does not run alone.
    return sorted(everything, key=lambda path: (path.stem not in LONG, -path.stat().st_size))
