"""A short form of scripts/soak.py: right results from many threads at once, memory that does not grow."""

import pathlib
import subprocess
import sys


def test_device_withstands_many_threads(device):
    script = pathlib.Path(__file__).parents[2] / "scripts" / "soak.py"
    command = [sys.executable, str(script), "--seconds", "12", "--threads", "8", "--growth", "0.1"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
