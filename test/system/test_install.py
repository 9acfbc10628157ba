# SPDX-License-Identifier: ISC
"""`./dev install` into a folder: what lands where, and what is never touched."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]


def install(target):
    done = subprocess.run([TREE / "dev", "install"], env={**os.environ, "DESTDIR": str(target)},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.limit(600)
def test_install_into_a_folder(folder):
    target = folder / "root"
    target.mkdir()
    install(target)
    assert os.access(target / "usr/sbin/pabal", os.X_OK)
    # every module of the build, where the program looks for them
    names = re.findall(r"^  \['(\w+)', files", (TREE / "meson.build").read_text(), re.M)
    folder_of_modules = b"/usr/lib/pabal"
    assert folder_of_modules in (target / "usr/sbin/pabal").read_bytes()
    assert len(names) > 3 and {p.name for p in (target / "usr/lib/pabal").iterdir()} == {
        f"pabal-{name}.so" for name in names}
    assert mode(target / "etc/pabal/pabal.conf") == 0o644
    assert mode(target / "var/lib/pabal/empty") == 0o755
    for private in ("queue", "auth", "mail"):
        assert mode(target / "var/lib/pabal" / private) == 0o700
    unit = (target / "usr/lib/systemd/system/pabal.service").read_text()
    assert "ExecStart=/usr/sbin/pabal serve" in unit

    # the first configuration is one that the program takes
    conf = target / "etc/pabal/pabal.conf"
    done = subprocess.run([target / "usr/sbin/pabal", "check", "-c", conf],
                          capture_output=True, text=True)
    assert "error" not in done.stdout + done.stderr

    conf.write_text("# mine\n")
    install(target)
    assert conf.read_text() == "# mine\n", "a configuration that is there stays"


def test_install_makes_the_user_of_every_role():
    """Users of the unprivileged roles are made by install."""
    rows = (TREE / "src/role/roles.c").read_text()
    users = set(re.findall(r'\.user = "pabal-(\w+)"', rows))
    script = (TREE / "build-aux/dev/task-install.sh").read_text()
    made = set(re.search(r"for role in ([\w ]+); do", script).group(1).split())
    assert users and users <= made
