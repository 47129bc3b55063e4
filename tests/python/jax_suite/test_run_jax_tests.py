"""The runner of JAX's suite, over a small source tree whose files pass, fail, hang and crash."""

import importlib.metadata
import json
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[3]
RUNNER = ROOT / "scripts/run_jax_tests.py"

FILES = {
    "good_test": """
        import os
        import unittest

        import jax
        from jax._src import helper_that_no_wheel_has
        from jax._src import test_util as jtu

        class Good(unittest.TestCase):
            def test_passes(self):
                assert jax.devices()[0].platform == "cpu"

            def test_settings(self):
                assert os.environ["JAX_NUM_GENERATED_CASES"] == "3"
                assert jtu.device_under_test() == "gpu"
                assert not jax.config.jax_enable_x64

            def test_jax_is_the_installed_one(self):
                assert "site-packages" in jax.__file__

            @unittest.skip("not here")
            def test_skipped(self):
                raise AssertionError

            def test_subtests(self):
                with self.subTest("a"):
                    self.skipTest("only this part")
                with self.subTest("b"):
                    pass
    """,
    "bad_test": """
        import unittest

        class Bad(unittest.TestCase):
            def test_values(self):
                raise AssertionError("Mismatched elements: 3 / 4\\nMax difference: 17")

            def test_unimplemented(self):
                raise RuntimeError("UNIMPLEMENTED: stablehlo.infeed at a.py:3")

            def test_subtest(self):
                for part in (1, 2):
                    with self.subTest(part):
                        assert part == 1

            def test_passes(self):
                pass

        class NotSetUp(unittest.TestCase):
            def setUp(self):
                raise ValueError("no setup")

            def test_never_runs(self):
                pass
    """,
    "crash_test": """
        import os
        import unittest

        class Crash(unittest.TestCase):
            def test_a(self):
                pass

            def test_b(self):
                os.abort()

            def test_c(self):
                pass
    """,
    "import_crash_test": """
        import os
        import unittest

        if os.environ["JAX_PLATFORMS"] != "cpu" or "--collect-only" not in __import__("sys").argv:
            os.abort()

        class Crash(unittest.TestCase):
            def test_a(self):
                pass

            def test_b(self):
                pass
    """,
    "hang_test": """
        import time
        import unittest

        class Hang(unittest.TestCase):
            def test_a(self):
                pass

            def test_b(self):
                time.sleep(1000)
    """,
    "broken_test": "import no_such_module",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax-source")
    (folder / "jax/_src/pallas").mkdir(parents=True)
    (folder / "jax/_src/helper_that_no_wheel_has.py").touch()
    (folder / "jax/version.py").write_text(f'_version = "{importlib.metadata.version("jax")}"\n')
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--import-mode=importlib'\n")
    (folder / "tests").mkdir()
    for name, text in FILES.items():
        (folder / f"tests/{name}.py").write_text(textwrap.dedent(text))
    return folder


def run(source, out, *extra):
    command = [sys.executable, str(RUNNER), "--jax-source", str(source), "--platforms", "cpu"]
    command += ["--label", "gpu", "--cases", "3", "--out", str(out), "--expected", str(out / "expected"), *extra]
    return subprocess.run(command, capture_output=True, text=True)


def counts(out):
    content = json.loads((out / "results.json").read_text())
    return {
        one["file"]: [
            sum(result["outcome"] == outcome for result in one["results"])
            for outcome in ("passed", "failed", "error", "skipped")
        ]
        for one in content["files"]
    }


def test_outcomes_of_all_kinds(source, tmp_path):
    answer = run(source, tmp_path, "--jobs", "2", "--timeout", "60", "--triage", "good_test", "bad_test",
                 "crash_test", "import_crash_test", "broken_test")  # fmt: skip
    assert counts(tmp_path) == {
        "good_test": [4, 0, 0, 1],
        "bad_test": [1, 4, 0, 0],  # pytest runs setUp of unittest as part of the call
        "crash_test": [0, 3, 0, 0],
        "import_crash_test": [0, 2, 0, 0],
        "broken_test": [0, 0, 1, 0],
    }, answer.stdout + answer.stderr
    assert answer.returncode == 1
    assert "crash (SIGABRT) in Crash::test_b" in answer.stdout
    assert "| **all**" in answer.stdout
    assert "33.33" in (tmp_path / "results.md").read_text()
    assert "1  RuntimeError: UNIMPLEMENTED: stablehlo.infeed at <file>" in answer.stdout
    assert "1  AssertionError: values differ: Bad::test_values" in answer.stdout


def test_timeout_counts_all_cases(source, tmp_path):
    answer = run(source, tmp_path, "--timeout", "12", "hang_test")
    assert counts(tmp_path) == {"hang_test": [0, 2, 0, 0]}
    assert "timeout after 12 s in Hang::test_b" in answer.stdout


def test_manifest(source, tmp_path):
    first = run(source, tmp_path, "bad_test")
    assert first.returncode == 1
    assert first.stdout.count("new failure: ") == 4

    updated = run(source, tmp_path, "bad_test", "--update-manifest")
    assert updated.returncode == 1, "expected failures without a reason are red"
    assert "no reason given" in updated.stdout
    (path,) = (tmp_path / "expected").iterdir()
    assert path.name == f"cpu-jax{importlib.metadata.version('jax')}-gpu-n3.toml"

    path.write_text(path.read_text().replace('reason = ""', 'reason = "not yet"'))
    known = run(source, tmp_path, "bad_test")
    assert known.returncode == 0, known.stdout

    path.write_text(path.read_text().replace("Bad::test_values", "Bad::test_passes"))
    changed = run(source, tmp_path, "bad_test")
    assert changed.returncode == 1
    assert "new failure: tests/bad_test.py::Bad::test_values" in changed.stdout
    assert "passes although expected to fail: tests/bad_test.py::Bad::test_passes" in changed.stdout

    path.write_text(path.read_text().replace("infeed", "outfeed").replace("Bad::test_passes", "Bad::test_values"))
    otherwise = run(source, tmp_path, "bad_test")
    assert otherwise.returncode == 1
    assert "fails otherwise: tests/bad_test.py::Bad::test_unimplemented" in otherwise.stdout


def test_other_release_is_refused(source, tmp_path):
    other = tmp_path / "other"
    (other / "jax").mkdir(parents=True)
    (other / "jax/version.py").write_text('_version = "0.1.0"\n')
    answer = run(other, tmp_path)
    assert answer.returncode == 2
    assert "is 0.1.0" in answer.stderr


def test_unknown_file_is_refused(source, tmp_path):
    answer = run(source, tmp_path, "no_such_test")
    assert answer.returncode == 2
    assert "no test file matches" in answer.stderr


def test_unknown_platform_is_refused(source, tmp_path):
    answer = run(source, tmp_path, "--platforms", "no_such_platform", "good_test")
    assert answer.returncode == 2
    assert "gives no device" in answer.stderr
