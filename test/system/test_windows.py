# SPDX-License-Identifier: ISC
"""NTLM, as programs of Windows log in: with passwords of accounts here, and with
winbind's helper, for which a program of the tests stands in (test_domain.py has
the real one)."""

import base64
import re
import shutil
import smtplib
import subprocess
from pathlib import Path

import pytest

from pabal import server, wait

HELPER = Path(__file__).parents[1] / "lib" / "helper-of-the-tests"
CONFIG = server.USUAL.replace(
    'server "submission" {', 'server "submission" { mechanisms "NTLM" "GSS-SPNEGO" "PLAIN" '
).replace('auth { source "accounts" }', 'auth { source "accounts" guess { account-address 0 address 0 names 0 network 0 network-names 0 account 0 } $inside }')


def start(make_folder, certificate, more, name):
    folder = make_folder(name)
    return server.Pabal(folder, CONFIG, certificate=certificate, inside=more)


def curl(house, user, password="secret", mechanism="NTLM"):
    port = house.port("submission")
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--verbose",
         "--mail-from", "kim@example.kr", "--mail-rcpt", "kim@example.kr", "--upload-file", "-",
         "--max-time", "60", "--login-options", f"AUTH={mechanism}", "--user", f"{user}:{password}",
         f"smtp://127.0.0.1:{port}/client.example"],
        input="Subject: by NTLM\r\n\r\nx\r\n", text=True, capture_output=True, timeout=80)


def offered(house):
    with smtplib.SMTP("localhost", house.port("submission"), timeout=60) as client:
        client.starttls()
        client.ehlo("client.example")
        return client.esmtp_features.get("auth", "").split()


# ---- accounts here

@pytest.fixture(scope="module")
def own(make_folder, certificate):
    with start(make_folder, certificate, "", "own") as running:
        running.account("kim@example.kr", "secret")
        running.account("lee@example.kr", "secret")
        running.run("account", "set", "kim@example.kr", "--legacy", "on", input="secret\n")
        yield running


def test_own_passwords_are_offered(own):
    assert offered(own) == ["NTLM", "PLAIN"]


# What stands before the backslash names the machine or domain of the client, not an account.
NAMES = ["kim@example.kr", "kim", "EXAMPLE\\kim", "LAPTOP-7\\kim"]


@pytest.mark.parametrize("user", NAMES)
def test_curl_logs_in(own, user):
    since = own.log.mark()
    done = curl(own, user)
    assert done.returncode == 0, done.stderr
    own.await_event("accept", since=since, account="kim@example.kr")


@pytest.mark.parametrize("user, password", [
    ("kim", "wrong"), ("kim", ""), ("lee", "secret"), ("nobody", "secret")])
def test_curl_is_refused(own, user, password):
    """lee's password is not stored in a form that NTLM can use."""
    done = curl(own, user, password)
    assert done.returncode == 67 and "< 535 " in done.stderr, done.stderr


@pytest.mark.skipif(not shutil.which("swaks"), reason="no swaks")
@pytest.mark.parametrize("user, password, code", [
    ("kim@example.kr", "secret", 0), ("kim", "secret", 0), ("kim", "wrong", 28)])
def test_swaks(own, user, password, code):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(own.port("submission")), "--tls",
         "--auth", "NTLM", "--auth-user", user, "--auth-password", password, "--from",
         "kim@example.kr", "--to", "kim@example.kr", "--timeout", "60"],
        capture_output=True, text=True, timeout=90)
    if "requires" in done.stderr + done.stdout and done.returncode not in (0, 28):
        pytest.skip("swaks has no Authen::NTLM here")
    assert done.returncode == code, done.stdout + done.stderr


# ---- winbind's helper

@pytest.fixture(scope="module")
def domain(make_folder, certificate):
    folder = make_folder("helper")
    shutil.copy(HELPER, folder / "helper")
    folder.chmod(0o777)
    more = (f'winbind {{ helper "{folder}/helper" "{folder}/ran" timeout 3s helpers 2 '
            'map "EXAMPLE" "example.kr" }')
    with start(make_folder, certificate, more, "winbind") as running:
        running.account("kim@example.kr", "another")
        running.ran = folder / "ran"
        yield running


def helpers(house):
    return house.ran.read_text().split()


def test_the_domain_s_mechanisms_are_offered(domain):
    assert offered(domain) == ["GSS-SPNEGO", "NTLM", "PLAIN"]


@pytest.mark.parametrize("user", ["EXAMPLE\\kim", "bare"])
def test_a_user_of_the_domain_gets_in(domain, user):
    since = domain.log.mark()
    done = curl(domain, user)
    assert done.returncode == 0, done.stderr + domain.log.text()[-3000:]
    domain.await_event("accept", since=since, account="kim@example.kr")


def test_a_helper_serves_one_after_another(domain):
    curl(domain, "EXAMPLE\\kim")
    before = helpers(domain)
    for _ in range(3):
        assert curl(domain, "EXAMPLE\\kim").returncode == 0
        assert curl(domain, "EXAMPLE\\wrong").returncode == 67
    assert helpers(domain) == before


@pytest.mark.parametrize("user, reason", [
    ("EXAMPLE\\wrong", "NT_STATUS_WRONG_PASSWORD"), ("foreign", "map"),
    ("EXAMPLE\\stranger", "unknown name")])
def test_who_is_refused(domain, user, reason):
    since = domain.log.mark()
    done = curl(domain, user)
    assert done.returncode == 67 and "< 535 " in done.stderr, done.stderr
    domain.await_event("login-failed", since=since, reason=re.compile(reason))


@pytest.mark.parametrize("user", ["nobody-answers", "broken", "noise", "much", "dies", "slow"])
def test_a_helper_that_cannot_tell_is_no_refusal(domain, user):
    done = curl(domain, user)
    assert done.returncode == 67 and "< 454 " in done.stderr, done.stderr
    assert curl(domain, "EXAMPLE\\kim").returncode == 0  # and another takes its place


class Spnego:
    """Says what it is told; the helper of the tests takes the name as the proof."""

    def __init__(self, house):
        self.smtp = smtplib.SMTP("localhost", house.port("submission"), timeout=60)
        self.smtp.starttls()
        self.smtp.ehlo("client.example")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.smtp.close()

    def begin(self):
        return self.smtp.docmd("AUTH", "GSS-SPNEGO " + base64.b64encode(b"token").decode())[0]

    def end(self, user):
        return self.smtp.docmd(base64.b64encode(user.encode()).decode())[0]


@pytest.mark.parametrize("user, code", [
    ("kim", 235), ("wrong", 535), ("foreign", 535), ("stranger", 535), ("noise", 454)])
def test_spnego(domain, user, code):
    with Spnego(domain) as client:
        assert client.begin() == 334
        assert client.end(user) == code


def test_dialogues_that_break_off(domain):
    with Spnego(domain) as client:
        for _ in range(5):
            assert client.begin() == 334
            assert client.smtp.docmd("*")[0] == 501
        assert client.smtp.docmd("AUTH", "NTLM")[0] == 334
        assert client.smtp.docmd("")[0] in (501, 535)
        assert client.smtp.docmd("AUTH", "NTLM !!")[0] == 501
        assert client.begin() == 334
        assert client.end("kim") == 235


def test_silent_clients_do_not_keep_the_helpers(domain):
    """Both helpers wait for clients; after some seconds the one that waits longest is taken."""
    with Spnego(domain) as first, Spnego(domain) as second, Spnego(domain) as third:
        assert (first.begin(), second.begin()) == (334, 334)
        assert third.begin() == 454
        wait.until(lambda: third.begin() == 334, 30, "a helper is taken away", every=0.5)
        assert third.end("kim") == 235
        assert second.end("kim") == 235
        assert first.end("kim") == 454


def test_a_helper_that_is_not_there(make_folder, certificate):
    more = 'winbind { helper "/nonexistent/ntlm_auth" map "EXAMPLE" "example.kr" }'
    with start(make_folder, certificate, more, "missing") as house:
        house.account("kim@example.kr", "secret")
        done = curl(house, "EXAMPLE\\kim")
        assert "< 454 " in done.stderr, done.stderr
        house.await_event("auth", level="error", reason=re.compile("/nonexistent/ntlm_auth"))
        said = house.run("check", check=False)
        assert "/nonexistent/ntlm_auth" in said.stdout + said.stderr
