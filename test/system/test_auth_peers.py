# SPDX-License-Identifier: ISC
"""Real peers on both ends of the authentication protocol: Postfix and Dovecot's
own client ask us, our smtpd asks a Dovecot."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import signal
import socket
import sqlite3
from pathlib import Path

import pytest

from pabal import peers, server, smtp, wait

PUBLIC = 'auth { source "accounts" public-socket "$folder/public" }'
FOREIGN = 'auth { socket "$socket" }'
NAME, PASSWORD = "kim@example.kr", "secret"


def usual(auth):
    return server.USUAL.replace('auth { source "accounts" }', auth)


@pytest.fixture
def ours(start, certificate):
    """Our server with a public authentication socket that everybody may use."""
    running = start(server.Pabal, usual(PUBLIC), certificate=certificate)
    running.account(NAME, PASSWORD)
    running.public = running.folder / "public"
    running.public.chmod(0o666)
    return running


def secured(client):
    client.ehlo()
    assert client.starttls().code == 220
    client.ehlo()
    return client


# ---- others ask us

@pytest.mark.root
def test_postfix_asks_us(start, certificate, ours):
    postfix = start(peers.Postfix, sasl=ours.public, certificate=certificate)

    def client():
        return secured(smtp.Client(postfix.address, postfix.port))

    with client() as one:
        assert set(one.extensions["AUTH"].split()) == {"SCRAM-SHA-256", "PLAIN", "LOGIN"}
        refused = one.auth_plain(NAME, "wrong")
        assert refused.code == 535
        assert one.auth_plain("nobody@example.kr", "wrong").text == refused.text
        assert one.auth_plain(NAME, PASSWORD).code == 235
        assert one.mail(NAME).code == 250
        assert one.rcpt("lee@elsewhere.test").code == 250, "who logged in may relay"
    with client() as one:
        assert one.auth_login("kim", PASSWORD).code == 235, "a bare name gets the default domain"
    with client() as one:
        assert one.auth_login(NAME, "wrong").code == 535
        assert one.auth_plain(NAME, PASSWORD, authzid="lee@example.kr").code == 535
    ours.await_event("auth", server="auth-client", account=NAME, status="ok")
    ours.await_event("login-failed", server="auth-client", account=NAME, reason="wrong password")
    ours.await_event("login-failed", server="auth-client", reason="unknown name",
                     client="127.0.0.1")


@pytest.mark.root
def test_postfix_without_tls_is_refused_plaintext(start, ours):
    postfix = start(peers.Postfix, sasl=ours.public)
    with smtp.Client(postfix.address, postfix.port) as client:
        client.ehlo()
        assert client.auth_plain(NAME, PASSWORD).code == 535


@pytest.mark.root
def test_postfix_sees_changes_at_once(start, certificate, ours):
    postfix = start(peers.Postfix, sasl=ours.public, certificate=certificate)

    def code(password):
        with secured(smtp.Client(postfix.address, postfix.port)) as client:
            return client.auth_plain(NAME, password).code

    assert code(PASSWORD) == 235
    ours.run("account", "disable", NAME)
    assert code(PASSWORD) == 535
    ours.run("account", "enable", NAME)
    assert code(PASSWORD) == 235
    ours.run("account", "passwd", NAME, input="another\n")
    assert code(PASSWORD) == 535
    assert code("another") == 235


@pytest.mark.root
def test_postfix_finds_us_again(start, certificate, ours):
    """The role dies while Postfix holds a connection to it."""
    postfix = start(peers.Postfix, sasl=ours.public, certificate=certificate)
    with secured(smtp.Client(postfix.address, postfix.port)) as client:
        assert client.auth_plain(NAME, "wrong").code == 535
        old = ours.signal_role("auth")
        wait.until(lambda: ours.pids("auth") not in ([], old), 20, "auth is there again")
        wait.until(lambda: client.auth_plain(NAME, PASSWORD).code == 235, 20, "Postfix found it")


def test_dovecots_own_client_asks_us(start, ours):
    dovecot = start(peers.Dovecot, {"other@example.kr": "other"})

    def ask(name, password):
        return dovecot.run("/usr/bin/doveadm", "-c", dovecot.folder / "dovecot.conf", "auth",
                           "test", "-a", ours.public, "-x", "secured", name, password)

    assert f"passdb: {NAME} auth succeeded" in ask(NAME, PASSWORD)
    with pytest.raises(AssertionError, match="auth failed"):
        ask(NAME, "wrong")


class Raw:
    """The protocol by hand."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.greeting = []
        while not self.greeting or self.greeting[-1] != "DONE":
            self.greeting.append(self.line())

    def line(self):
        text = self.lines.readline()
        assert text.endswith("\n"), "closed"
        return text[:-1]

    def say(self, *fields):
        self.socket.sendall(("\t".join(fields) + "\n").encode())

    def plain(self, number, name, password, *more):
        words = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.say("AUTH", str(number), "PLAIN", "service=smtp", *more, f"resp={words}")


def test_the_public_socket_by_hand(ours):
    one = Raw(ours.public)
    assert one.greeting[0] == "VERSION\t1\t2"
    assert not any("PLUS" in row or "EXTERNAL" in row for row in one.greeting)
    one.say("VERSION", "1", "1")
    one.say("CPID", "1")
    one.plain(1, NAME, PASSWORD)
    assert one.line().startswith("FAIL\t1\t"), "not secured"
    one.plain(2, NAME, PASSWORD, "secured", "rip=192.0.2.9")
    assert one.line() == f"OK\t2\tuser={NAME}", "rights are not for strangers"
    one.plain(3, NAME, "wrong", "secured", "rip=192.0.2.9")
    assert one.line() == f"FAIL\t3\tuser={NAME}", "nor is the reason"


def test_without_queue_there_is_no_answer_yet(ours):
    """Whether an account is disabled cannot be known: try again later."""
    one = Raw(ours.public)
    one.say("VERSION", "1", "2")
    one.say("CPID", "1")
    one.plain(1, NAME, PASSWORD, "secured")
    assert one.line().startswith("OK\t1")
    [queue] = ours.pids("queue")
    os.kill(queue, signal.SIGSTOP)
    one.plain(2, NAME, PASSWORD, "secured")
    os.kill(queue, signal.SIGKILL)
    assert "temp" in one.line().split("\t")

    def again(number=iter(range(3, 1000))):
        one.plain(next(number), NAME, PASSWORD, "secured")
        return one.line().startswith("OK")
    wait.until(again, 20, "queue is there again")


# ---- the role itself

def test_smtpd_finds_a_new_auth(pabal):
    assert logs_in(pabal)
    old = pabal.signal_role("auth")
    wait.until(lambda: pabal.pids("auth") not in ([], old), 20, "auth is there again")
    wait.until(lambda: everywhere(lambda: logs_in(pabal)), 20, "every smtpd has found it")


def test_a_stopped_auth_holds_nobody_up(pabal):
    """SIGSTOP: whoever logs in waits, mail that needs no login is taken."""
    [auth] = pabal.signal_role("auth", signal.SIGSTOP)
    with secured(pabal.client("submission")) as waiting, pabal.client("mx") as other:
        words = base64.b64encode(f"\0{NAME}\0{PASSWORD}".encode()).decode()
        waiting.send(f"AUTH PLAIN {words}\r\n".encode())
        other.ehlo()
        assert other.deliver("lee@elsewhere.test", NAME, smtp.text_message()).code == 250
        os.kill(auth, signal.SIGCONT)
        assert waiting.reply().code == 235


def test_passwords_without_an_account_are_swept(start, certificate):
    ours = start(server.Pabal, certificate=certificate, start=False)
    secrets = ours.folder / "state" / "auth" / "secrets.db"
    for name in (NAME, "lee@example.kr", "new@example.kr"):
        ours.account(name, PASSWORD)
    # As a crash leaves it between the two steps: the row went, the password stayed.
    change(ours.folder / "state" / "queue" / "queue.db",
           f"DELETE FROM account WHERE name <> '{NAME}'",
           f"DELETE FROM address WHERE name <> '{NAME}'")
    change(secrets, "UPDATE secret SET changed_ms = 1 WHERE name <> 'new@example.kr'")
    ours.start()
    ours.await_event("auth", reason=re.compile("password of lee@example.kr was removed"))
    assert logs_in(ours)
    ours.stop()
    left = {row[0] for row in change(secrets, "SELECT name FROM secret")}
    assert left == {NAME, "new@example.kr"}, "one that was just set waits for its account"


def change(path, *statements):
    """The store of a stopped server; the rows of the last statement."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
        db.commit()
    return rows


@pytest.mark.root
def test_with_the_roles_own_users(start, certificate):
    ours = start(server.Pabal, usual(PUBLIC), certificate=certificate, as_root=True)
    ours.account(NAME, PASSWORD)
    assert logs_in(ours)
    file = ours.folder / "state" / "auth" / "secrets.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.owner() == "pabal-auth"
    ours.run("account", "passwd", NAME, input="another\n")
    assert not logs_in(ours)
    one = Raw(ours.folder / "public")
    one.say("VERSION", "1", "2")
    one.say("CPID", "1")
    one.plain(1, NAME, "another", "secured")
    assert one.line() == f"OK\t1\tuser={NAME}"


# ---- we ask Dovecot

@pytest.fixture
def foreign(start, certificate):
    """(Dovecot, our server that asks it)."""
    dovecot = start(peers.Dovecot, {NAME: PASSWORD}, mechanisms="plain login cram-md5")
    ours = start(server.Pabal, usual(FOREIGN), certificate=certificate, socket=dovecot.auth)
    wait.until(lambda: everywhere(lambda: offered(ours)), 20, "AUTH is offered")
    return dovecot, ours


def everywhere(question):
    """Of several smtpd each connection may meet another one."""
    return all(question() for _ in range(6))


def offered(ours):
    with secured(ours.client("submission")) as client:
        return set(client.extensions.get("AUTH", "").split())


def test_smtpd_asks_dovecot(foreign):
    _, ours = foreign
    assert offered(ours) == {"PLAIN", "LOGIN", "CRAM-MD5"}, "what its MECH lines list"
    with secured(ours.client("submission")) as client:
        assert client.auth_plain(NAME, "wrong").code == 535
        assert client.auth_plain(NAME, PASSWORD).code == 235
        assert client.mail(NAME).code == 250
        assert client.rcpt("lee@elsewhere.test").code == 250
    with secured(ours.client("submission")) as client:
        assert client.auth_login(NAME, "wrong").code == 535
        assert client.auth_login(NAME, PASSWORD).code == 235
    ours.await_event("auth", account=NAME, code=235)


def test_smtpd_carries_dovecots_challenges(foreign):
    _, ours = foreign

    def cram(password):
        with secured(ours.client("submission")) as client:
            reply = client.command("AUTH CRAM-MD5")
            assert reply.code == 334
            challenge = base64.b64decode(reply.text.split(" ")[-1])
            digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
            return client.command(base64.b64encode(f"{NAME} {digest}".encode())).code

    assert cram(PASSWORD) == 235
    assert cram("wrong") == 535


def test_cancelled_and_broken_responses(foreign):
    _, ours = foreign
    with secured(ours.client("submission")) as client:
        assert client.command("AUTH LOGIN").code == 334
        assert client.command("*").code == 501
        assert client.command("AUTH LOGIN").code == 334
        assert client.command("not base64!").code == 501
        assert client.auth_plain(NAME, PASSWORD).code == 235


def login_code(ours):
    with secured(ours.client("submission")) as client:
        return client.auth_plain(NAME, PASSWORD).code


def logs_in(ours):
    return login_code(ours) == 235


def stop_as_an_administrator(dovecot):
    """Its old authentication process goes on for those who are connected."""
    dovecot.process.terminate()
    dovecot.process.wait(10)


def test_smtpd_after_dovecot_was_restarted(foreign):
    dovecot, ours = foreign
    assert logs_in(ours)
    stop_as_an_administrator(dovecot)
    wait.until(lambda: everywhere(lambda: login_code(ours) == 454), 60, "logins are put off")
    with secured(ours.client("submission")) as client:
        assert client.auth_plain(NAME, PASSWORD).code == 454
        dovecot.start()
        wait.until(lambda: client.auth_plain(NAME, PASSWORD).code == 235, 30, "logs in again")
    wait.until(lambda: everywhere(lambda: logs_in(ours)), 30, "on every smtpd")


def auth_processes():
    """Of Dovecot."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"dovecot-pabal-test/auth" in entry.read_bytes():
                found.add(entry.parent.name)
        except OSError:
            pass  # it has just ended
    return found


def test_a_restart_that_nobody_noticed(foreign):
    """Stopped and started at once, the old process stays with those who are
    connected to it: no login fails meanwhile, and soon the new one is asked."""
    dovecot, ours = foreign
    assert everywhere(lambda: logs_in(ours))
    old = auth_processes()
    stop_as_an_administrator(dovecot)
    dovecot.start()
    assert old and old <= auth_processes()

    def left():
        assert logs_in(ours)
        return not old & auth_processes()
    wait.until(left, 60, "the old process is left", every=0.2)
    assert everywhere(lambda: logs_in(ours))


def test_dovecot_dies_within_an_exchange(foreign):
    """It ends with a code to try again; nothing hangs, the session goes on."""
    dovecot, ours = foreign
    with secured(ours.client("submission")) as client:
        assert client.command("AUTH LOGIN").code == 334
        os.killpg(dovecot.process.pid, signal.SIGKILL)
        dovecot.process.wait(10)
        assert client.command(base64.b64encode(NAME.encode())).code == 454
        dovecot.start()
        wait.until(lambda: client.auth_login(NAME, PASSWORD).code == 235, 30, "logs in again")


def test_smtpd_starts_before_dovecot(start, certificate):
    dovecot = start(peers.Dovecot, {NAME: PASSWORD})
    dovecot.stop()
    ours = start(server.Pabal, usual(FOREIGN), certificate=certificate, socket=dovecot.auth)
    assert not offered(ours)
    dovecot.start()
    wait.until(lambda: everywhere(lambda: offered(ours)), 30, "AUTH is offered")
    with ours.session(NAME, PASSWORD) as client:
        assert client.mail(NAME).code == 250


def test_only_what_both_have_is_offered(start, certificate):
    """Of what the configuration names, what Dovecot's MECH lines list."""
    dovecot = start(peers.Dovecot, {NAME: PASSWORD}, mechanisms="plain login cram-md5")
    config = usual(FOREIGN).replace(
        'server "submission" {',
        'server "submission" { mechanisms "CRAM-MD5" "DIGEST-MD5" "SCRAM-SHA-256" "LOGIN"')
    ours = start(server.Pabal, config, certificate=certificate, socket=dovecot.auth)
    wait.until(lambda: everywhere(lambda: offered(ours)), 30, "AUTH is offered")
    found = [offered(ours) for _ in range(6)]
    assert found == [{"CRAM-MD5", "LOGIN"}] * 6
    with secured(ours.client("submission")) as client:
        assert client.auth_plain(NAME, PASSWORD).code == 504
        assert client.command("AUTH DIGEST-MD5").code == 504
        assert client.auth_login(NAME, PASSWORD).code == 235
