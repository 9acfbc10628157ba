# SPDX-License-Identifier: ISC
"""The server with no more rights than its systemd unit leaves it."""

import re
from pathlib import Path

import pytest

from pabal import peers, server

UNIT = peers.TREE / "dist" / "pabal.service"
PROGRAM = """\
#!/usr/bin/python3
import os, sys
name, password = os.read(3, 1024).split(b"\\0")[:2]
sys.exit(0 if (name, password) == (b"park", b"p1") else 1)
"""


def bounding_set():
    """As setpriv writes the unit's CapabilityBoundingSet."""
    names = re.search(r"^CapabilityBoundingSet=(.*)", UNIT.read_text(), re.M).group(1).split()
    return ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])


class Service(server.Pabal):
    def command(self, *words, plain=True):
        return ["setpriv", f"--bounding-set={bounding_set()}",
                *super().command(*words, plain=plain)]


@pytest.mark.root
def test_checks_run_with_the_rights_of_the_unit(start, certificate, folder):
    program = folder / "programs" / "check"
    program.parent.mkdir(mode=0o755)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    config = server.USUAL.replace('auth { source "accounts" }',
                                  f'auth {{ source "checkpassword" {{ command "{program}" }} }}')
    pabal = start(Service, config, certificate=certificate, as_root=True)
    with pabal.client("submission") as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        assert client.auth_plain("park@example.kr", "p1").code == 235
    checker, = pabal.pids("checker")
    own, its = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", checker))
    assert own != its, "checks have no network"
    assert "RestrictNamespaces=net\n" in UNIT.read_text(), "which the unit must allow"
