# SPDX-License-Identifier: ISC
"""Guessers of passwords are stopped before a password is looked at, and nobody else is."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from pabal import control, peers, server, smtp, wait

NAME, PASSWORD = "kim@example.kr", "secret"
GUESSER, HOME, ELSEWHERE = "198.51.100.1", "203.0.113.7", "192.0.2.9"
TREE = Path(__file__).resolve().parents[2]
FAIL2BAN = peers.TREE / ".run/peers/root/usr"


def config(guess=""):
    """Logins without TLS, as the clients here come from everywhere; every
    address is this machine."""
    text = server.USUAL.replace('auth { source "accounts" }',
                                'auth { source "accounts" cache 0 guess { %s } }' % guess)
    return text.replace('require { tls auth }', 'require { auth } auth-without-tls yes')


@pytest.fixture
def ours(start, certificate):
    def make(guess="", **words):
        running = start(server.Pabal, config(guess), certificate=certificate, **words)
        running.account(NAME, PASSWORD)
        return running
    return make


def client(ours, source):
    address, port = ours.listener("submission")
    one = smtp.Client(address, port, source=source, timeout=60)
    one.ehlo()
    return one


def login(ours, source, name=NAME, password=PASSWORD):
    with client(ours, source) as one:
        return one.auth_plain(name, password).code


def blocks(ours):
    return [row for row in control.rows(ours, "auth", "blocks", "list") if "scope" in row]


# ---- one address, many names

def test_a_spray_is_stopped_and_others_log_in(ours):
    ours = ours()
    assert login(ours, HOME) == 235
    codes = [login(ours, GUESSER, f"name{number}", "123456") for number in range(10)]
    assert codes == [535] * 10
    with client(ours, GUESSER) as one:
        reply = one.auth_plain(NAME, PASSWORD)
        assert (reply.code, reply.enhanced) == (421, "4.7.0"), "right or wrong: nobody looks"
        assert one.is_closed(), "and the session is over"
    assert login(ours, HOME) == 235
    assert login(ours, ELSEWHERE) == 235
    failed = ours.await_event("login-failed", client=GUESSER, blocked="names")
    assert (failed["account"], failed["mechanism"], failed["count"]) == (NAME, "PLAIN", "10")
    ours.await_event("auth", client=GUESSER, code=421, rule="auth-guess",
                     reason=re.compile("guess { names }"))

    [row] = blocks(ours)
    assert (row["scope"], row["network"], row["count"]) == ("names", GUESSER, 10)
    assert 0 < row["left_ms"] <= 600_000
    shown = ours.run("auth", "blocks", "list").stdout
    assert GUESSER in shown and "names" in shown
    assert control.summary(ours)["blocks"]["count"] == 1
    assert "1 blocked" in ours.run("status", check=False).stdout
    assert "0" in ours.run("auth", "blocks", "clear", ELSEWHERE).stdout
    assert login(ours, GUESSER) == 421
    assert "cleared: 1" in ours.run("auth", "blocks", "clear", "198.51.100.0/24").stdout
    assert blocks(ours) == []
    assert login(ours, GUESSER) == 235


# ---- many addresses, one name

def test_an_account_guessed_from_everywhere_stays_open_to_its_own(ours):
    ours = ours()
    assert login(ours, HOME) == 235
    for number in range(50):
        assert login(ours, f"198.51.100.{number + 1}", password=f"guess{number}") == 535
    assert login(ours, ELSEWHERE) == 421, "no other address gets further"
    assert login(ours, HOME) == 235, "but the one it is used from does"
    assert login(ours, HOME, "lee@example.kr", "x") == 535, "for itself only"
    [row] = blocks(ours)
    assert (row["scope"], row["account"], row["count"]) == ("account", NAME, 50)
    assert json.loads(ours.run("auth", "blocks", "clear", NAME, "--json").stdout)["count"] == 1
    assert login(ours, ELSEWHERE) == 235


def test_known_addresses_outlive_a_restart(ours):
    ours = ours("account 3 answer drop")
    assert login(ours, HOME) == 235
    ours.stop()
    ours.start()
    for number in range(3):
        assert login(ours, f"198.51.100.{number + 1}", password=f"guess{number}") == 535
    assert login(ours, ELSEWHERE) == 421
    assert login(ours, HOME) == 235


# ---- one address, one name

def test_an_old_password_is_no_guess(ours):
    ours = ours("account-address 3")
    for _ in range(6):
        assert login(ours, HOME, password="of last year") == 535
    assert login(ours, HOME) == 235


def test_the_answer_can_be_a_slow_refusal(ours):
    ours = ours("account-address 2 answer delay delay 1s block 1h")
    for number in range(2):
        assert login(ours, GUESSER, password=f"guess{number}") == 535
    with client(ours, GUESSER) as one:
        began = time.monotonic()
        reply = one.auth_plain(NAME, PASSWORD)
        assert (reply.code, reply.enhanced) == (535, "5.7.8")
        assert time.monotonic() - began >= 1
        assert one.command("NOOP").code == 250, "the session goes on"
    assert login(ours, ELSEWHERE) == 235


def test_a_reload_changes_the_limits(ours):
    ours = ours("account-address 2")
    for number in range(2):
        assert login(ours, GUESSER, password=f"guess{number}") == 535
    assert login(ours, GUESSER) == 421
    ours.write_config(config("account-address 0"))
    assert ours.reload().returncode == 0
    assert login(ours, GUESSER) == 235


# ---- SCRAM: the name is asked for before there is any proof

def scram(one, name, password):
    """The last code of SCRAM-SHA-256 (RFC 7677)."""
    nonce = base64.b64encode(os.urandom(12)).decode()
    bare = f"n={name},r={nonce}"
    reply = one.command(b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()))
    if reply.code != 334:
        return reply.code
    first = base64.b64decode(reply.lines[0]).decode()
    values = dict(field.split("=", 1) for field in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]),
                                 int(values["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={values['r']}"
    signature = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{first},{final}".encode(), "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    reply = one.command(base64.b64encode(f"{final},p={proof}".encode()))
    return one.command("").code if reply.code == 334 else reply.code


def test_scram_is_counted_too(ours):
    ours = ours("account-address 4")

    def attempt(source, name=NAME, password=PASSWORD):
        with client(ours, source) as one:
            return scram(one, name, password)
    assert attempt(HOME) == 235
    for name in (NAME, "nobody@example.kr"):
        assert [attempt(GUESSER, name, f"guess{n}") for n in range(4)] == [535] * 4
        assert attempt(GUESSER, name) == 421, "before it is told any salt"
    ours.await_event("login-failed", client=GUESSER, mechanism="SCRAM-SHA-256", account=NAME,
                     count=4, blocked=None)
    assert attempt(ELSEWHERE) == 235
    assert login(ours, GUESSER) == 421, "by any mechanism"


# ---- the line in the log, and fail2ban

EVIL = ["x login-failed client=192.0.2.66 ", 'x" client="192.0.2.66', "x\nlogin-failed client=192.0.2.66"]


@pytest.mark.parametrize("form", ["key-value", "json"])
def test_fail2ban_reads_the_log(ours, tmp_path, form):
    ours = ours("account-address 3")
    ours.write_config(config("account-address 3").replace("format json", f"format {form}"))
    assert ours.reload().returncode == 0
    since = ours.log.mark()
    assert login(ours, HOME) == 235
    for name in [NAME, "nobody@example.kr", *EVIL]:
        assert login(ours, GUESSER, name, "wrong") == 535
    for number in range(3):
        login(ours, ELSEWHERE, password=f"guess{number}")
    assert login(ours, ELSEWHERE) == 421

    def lines():
        with ours.log.changed:
            found = [row for row in ours.log.lines[since:] if "login-failed" in row and
                     re.search(r'auth(\[0\])?"?[ ,]', row)]
        return found if len(found) >= 9 else None
    rows = wait.until(lines, 20, "every failure is in the log")
    if form == "key-value":
        assert re.fullmatch(r"\S+ info auth(\[0\])? login-failed client=198\.51\.100\.1 account="
                            r"kim@example\.kr mechanism=PLAIN reason=\"wrong password\" count=1 "
                            r"server=submission session=\w+", rows[0])
        assert re.search(r" reason=\"too many failed logins\" count=3 blocked=account-address ", rows[-1])
    else:
        row = json.loads(rows[0])
        assert list(row)[3:] == ["event", "client", "account", "mechanism", "reason", "count", "server",
                                 "session"]
    with ours.log.changed:
        (tmp_path / "log").write_text("\n".join(ours.log.lines) + "\n")
    assert fail2ban(tmp_path / "log") == {GUESSER: 5, ELSEWHERE: 4}
    # The same through syslog.
    (tmp_path / "syslog").write_text("".join(
        f"Nov 22 06:00:00 mail pabal[71]: {row.split(' ', 1)[1] if form == 'key-value' else row}\n"
        for row in rows))
    assert fail2ban(tmp_path / "syslog") == {GUESSER: 5, ELSEWHERE: 4}


def fail2ban(log):
    """address -> how often the real fail2ban-regex finds it."""
    # Debian's common.conf is beside the filter where it is installed.
    folder = log.parent / "filter.d"
    if not folder.exists():
        folder.mkdir()
        for path in (FAIL2BAN.parent / "etc/fail2ban/filter.d/common.conf",
                     TREE / "dist/fail2ban/filter.d/pabal.conf"):
            (folder / path.name).write_text(path.read_text())
    done = subprocess.run(
        ["/usr/bin/python3", "-B", FAIL2BAN / "bin/fail2ban-regex", "--print-all-matched", "-o", "ip",
         log, folder / "pabal.conf"], text=True, capture_output=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(FAIL2BAN / "lib/python3/dist-packages")})
    assert done.returncode == 0, done.stdout + done.stderr
    found = done.stdout.split()
    return {address: found.count(address) for address in set(found)}
