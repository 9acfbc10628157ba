# SPDX-License-Identifier: ISC
"""Users of a Windows domain log in: a real domain controller (Samba), its winbindd
and its helper, run by role checker as a user who may do nothing else."""

import re
import subprocess
from pathlib import Path

import pytest

from pabal import peers, samba, server

pytestmark = pytest.mark.root

KIM, LEE = "Secret-of-kim-1", "Secret-of-lee-1"
CONFIG = server.USUAL.replace(
    'server "submission" {', 'server "submission" { mechanisms "NTLM" "GSS-SPNEGO" "PLAIN" '
).replace('auth { source "accounts" }', '''auth { source "accounts"
    winbind { helper "$helper" map "EXAMPLE" "example.kr" group "pabal-source" }
}''')


@pytest.fixture(scope="module")
def domain(make_folder):
    folder = make_folder("domain")
    server.make_role_users()
    with samba.Domain(folder, {"kim": KIM, "lee": LEE}, "pabal-source") as running:
        yield running


@pytest.fixture(scope="module")
def house(make_folder, certificate, domain):
    folder = make_folder("house")
    with server.Pabal(folder, CONFIG, certificate=certificate, as_root=True,
                      helper=str(domain.helper())) as running:
        running.account("kim@example.kr", "quite another")
        yield running


def curl(house, user, password):
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--verbose",
         "--mail-from", "kim@example.kr", "--mail-rcpt", "kim@example.kr", "--upload-file", "-",
         "--max-time", "60", "--login-options", "AUTH=NTLM", "--user", f"{user}:{password}",
         f"smtp://127.0.0.1:{house.port('submission')}/client.example"],
        input="Subject: of the domain\r\n\r\nx\r\n", text=True, capture_output=True, timeout=80)


@pytest.mark.parametrize("user", ["EXAMPLE\\kim", "example\\KIM"])
def test_ntlm(house, user):
    since = house.log.mark()
    done = curl(house, user, KIM)
    assert done.returncode == 0, done.stderr + house.log.text()[-3000:]
    house.await_event("accept", since=since, account="kim@example.kr")


@pytest.mark.parametrize("user, password, reason", [
    ("EXAMPLE\\kim", "wrong", "WRONG_PASSWORD|LOGON_FAILURE"),
    ("EXAMPLE\\kim", "quite another", "WRONG_PASSWORD|LOGON_FAILURE"),
    ("EXAMPLE\\nobody", KIM, "NO_SUCH_USER|LOGON_FAILURE"),
    ("EXAMPLE\\lee", LEE, "unknown name")])
def test_ntlm_is_refused(house, user, password, reason):
    since = house.log.mark()
    done = curl(house, user, password)
    assert done.returncode == 67 and "< 535 " in done.stderr, done.stderr
    house.await_event("login-failed", since=since, reason=re.compile(reason))


@pytest.mark.parametrize("user, password, code", [
    ("kim", KIM, 235), ("kim", "wrong", 535), ("lee", LEE, 535), ("nobody", KIM, 535)])
def test_spnego(house, domain, user, password, code):
    said = samba.log_in_by_spnego(domain, house.port("submission"), user, password)
    assert said == code, house.log.text()[-3000:]


def test_the_helper_may_do_nothing_else(house):
    assert curl(house, "EXAMPLE\\kim", KIM).returncode == 0
    helpers = [pid for pid in house.family() if "ntlm_auth" in command_of(pid)]
    assert helpers
    for pid in helpers:
        status = Path(f"/proc/{pid}/status").read_text()
        assert not re.search(r"^[UG]id:.*\t0\b", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M)
        assert re.search(r"^Groups:\s*$", status, re.M)
        # its two pipes and what it opened itself: nothing of the role's
        kept = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in kept if "pabal" in path and "/state/" in path], kept


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")


def test_without_winbindd_nobody_is_refused(house, domain):
    """It is no answer that the password is wrong."""
    domain.stop()
    done = curl(house, "EXAMPLE\\kim", KIM)
    assert "< 454 " in done.stderr, done.stderr
