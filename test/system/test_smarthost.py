# SPDX-License-Identifier: ISC
"""Logging in at smart hosts with a password or a certificate: Postfix with the
authentication of Dovecot, and another server of ours."""

import json
import subprocess

import pytest

from pabal import server, wait
from pabal.smarthost import (  # noqa: F401 (fixtures)
    ME, address, logins, owned, password, postfix, refusals, result, run, submit)

pytestmark = pytest.mark.root


# ---- passwords

def test_the_strongest_mechanism_is_used_whatever_the_host_offers_today(run, postfix, password):
    host = postfix("plain login cram-md5 scram-sha-1 scram-sha-256")
    running = run(password())
    expected = []
    for mechanisms, used in [(None, "SCRAM-SHA-256"), ("plain login cram-md5", "CRAM-MD5"),
                             ("login plain", "PLAIN"), ("login", "LOGIN")]:
        if mechanisms:
            host.dovecot.stop()
            host.dovecot.mechanisms = mechanisms
            host.dovecot._write_config()
            host.dovecot.start()
        mark = running.log.mark()
        submit(running)
        result(running, "delivered", mark)
        expected.append((used, ME))
    wait.until(lambda: logins(host) == expected)
    assert len(host.wait_messages("lee@postfix.test", 4)) == 4
    assert "open-sesame" not in running.log.text()


def test_a_wrong_password_is_tried_once_and_said_in_words(run, postfix, password):
    host = postfix("plain login cram-md5 scram-sha-256")
    running = run(password("shut-sesame"))
    submit(running)
    event = result(running, "deferred")
    assert event["code"] == "535" and event["status"] == "4.7.8"
    for words in ('route "*"', "login SCRAM-SHA-256 failed", "said: 535", "check user and password-file"):
        assert words in event["reason"], event
    wait.until(lambda: refusals(host))
    assert set(refusals(host)) == {"SCRAM-SHA-256"}, "no weaker one gets the same secret"
    assert "sesame" not in running.log.text()
    [row] = running.queue()
    assert "login SCRAM-SHA-256 failed" in json.dumps(row)
    # the right one is picked up without a restart
    owned(running.folder.parent / "smart-password", "open-sesame\n")
    running.reload()
    result(running, "delivered")


def test_only_the_setting_lets_a_weaker_one_follow(run, postfix, password):
    host = postfix("plain login cram-md5 scram-sha-256")
    running = run(password("shut-sesame") + '\n\tmechanisms "SCRAM-SHA-256" "PLAIN"')
    submit(running)
    assert "login PLAIN failed" in result(running, "deferred")["reason"]
    wait.until(lambda: len(refusals(host)) > 1)
    assert refusals(host)[:2] == ["SCRAM-SHA-256", "PLAIN"]
    assert set(refusals(host)) == {"SCRAM-SHA-256", "PLAIN"}


def test_the_order_of_the_setting_counts(run, postfix, password):
    host = postfix("plain login cram-md5 scram-sha-256")
    running = run(password() + '\n\tmechanisms "CRAM-MD5" "SCRAM-SHA-256"')
    submit(running)
    result(running, "delivered")
    wait.until(lambda: logins(host) == [("CRAM-MD5", ME)])


def test_no_mechanism_in_common_is_said_in_words(run, postfix, password):
    host = postfix("plain")
    running = run(password() + '\n\tmechanisms "SCRAM-SHA-256"')
    submit(running)
    event = result(running, "deferred")
    assert "the host offers PLAIN" in event["reason"] and "it can be SCRAM-SHA-256" in event["reason"]
    assert not logins(host) and not refusals(host)


def test_no_secret_goes_to_a_host_without_tls(run, postfix, password):
    host = postfix("plain login cram-md5", encrypted=False)
    running = run(password())
    submit(running)
    event = result(running, "deferred")
    assert event["status"] == "4.7.4" and "TLS" in event["reason"]
    assert not logins(host) and not refusals(host)


# ---- another server of ours: what Postfix does not have

@pytest.fixture
def ours(start, ca):
    """A server of ours as smart host at 127.0.0.1."""
    def make(more=""):
        smart = start(server.Pabal, certificate=ca.issue("smart.a.test", stem="ours"), name="smart", more=more)
        smart.account("me@example.kr", "open-sesame")
        # the account of a whole server sends as everybody there
        smart.run("account", "send-as", "me@example.kr", "add", "@example.kr")
        return smart
    return make


def test_scram_is_bound_to_the_channel(run, ours, password):
    smart = ours()
    running = run(password().replace(ME, "me@example.kr") + '\n\tmechanisms "SCRAM-SHA-256-PLUS"',
                  f"smart.a.test:{smart.port('submission')}", "127.0.0.1")
    submit(running, "lee@elsewhere.test")
    result(running, "delivered")
    smart.await_event("accept", account="me@example.kr")


def test_external_shows_the_certificate(run, start, ca, ours, folder):
    """For an account that the host maps it to."""
    trusted = folder / "clients.crt"
    trusted.write_bytes(ca.cert.read_bytes())
    mine = ca.issue("pabal.a.test", stem="client")
    fingerprint = subprocess.run(
        ["openssl", "x509", "-in", mine.cert, "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True, check=True).stdout.partition("=")[2].strip().replace(":", "").lower()
    smart = ours(f'tls {{ ca-file "{trusted}" request-client-certificate yes }}\n'
                 'mechanisms "EXTERNAL" "PLAIN"\n'
                 f'auth {{ external {{ map "fingerprint {fingerprint}" "me@example.kr" }} }}\n')
    copy = owned(folder / "client.pem", mine.pem.read_text())
    running = run('mechanisms "EXTERNAL"', f"smart.a.test:{smart.port('submission')}", "127.0.0.1",
                  f'tls {{ client-certificate "{copy}" }}\n')
    submit(running, "lee@elsewhere.test")
    result(running, "delivered")
    smart.await_event("accept", account="me@example.kr")
