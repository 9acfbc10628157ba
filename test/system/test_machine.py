# SPDX-License-Identifier: ISC
"""./dev test leaves the machine as it was. It records the state first; this
compares at the end. Run by the suite `machine`, outside the tests' network."""

import os
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
RECORD = Path(os.environ.get("PABAL_RUN", TREE / ".run")) / "test" / "machine-before"

pytestmark = pytest.mark.machine


def state(kind, text):
    return {line for line in text.splitlines() if line.startswith(kind)}


@pytest.fixture(scope="module")
def before():
    assert RECORD.exists(), "./dev test writes the record before it installs anything"
    return RECORD.read_text()


@pytest.fixture(scope="module")
def after():
    script = TREE / "test" / "lib" / "machine-state"
    return subprocess.run([script], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", ["listens", "enabled", "mail", "package", "policy-rc.d"])
def test_same_as_before(kind, before, after):
    assert state(kind, after) == state(kind, before)
