# SPDX-License-Identifier: ISC
"""Power cuts: what the store, and a delivery into a mailbox, does to its files is recorded;
what a disk may hold after a cut is made and looked at (doc/queue.md 9; power.c)."""

import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SEED = int(os.environ.get("PABAL_POWER_SEED", "0")) or random.randrange(1, 10**9, 2)

ROOM = 48 * 1024 * 1024  # twice what is used


def program():
    build = os.environ.get("PABAL_BUILD") or Path(os.environ["PABAL_BIN"]).resolve().parent
    return Path(build) / "test" / "crash" / "power"


@pytest.fixture
def folder(tmp_path):
    """In memory where that is possible: the disk is the one of the test. Stays after a failure."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    return tempfile.mkdtemp(prefix="pabal-power.", dir=memory if roomy else tmp_path)


def run(capsys, what, folder, *words):
    done = subprocess.run([program(), what, folder, *map(str, words)], capture_output=True,
                          text=True, errors="replace", timeout=500)
    with capsys.disabled():
        print("\n" + done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder)


@pytest.mark.limit(600)
@pytest.mark.parametrize("seed", [1, SEED], ids=["fixed", "random"])
@pytest.mark.parametrize("what", ["store", "mailbox"])
def test_what_was_promised_is_kept(folder, what, seed, capsys):
    run(capsys, what, folder, seed)


@pytest.mark.limit(600)
@pytest.mark.parametrize("what, lie", [
    ("store", "folders"), ("store", "files"), ("store", "database"), ("store", "log"),
    ("mailbox", "folders"), ("mailbox", "files")])
def test_a_disk_that_forgets_is_noticed(folder, what, lie, capsys):
    """Each of these syncs is needed, and the checks above see what is lost without it."""
    run(capsys, what, folder, SEED, lie)
