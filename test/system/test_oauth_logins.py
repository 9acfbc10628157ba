# SPDX-License-Identifier: ISC
"""Logins with bearer tokens: OAUTHBEARER and XOAUTH2 as real clients speak them,
with an issuer of tokens on loopback."""

import base64
import json
import shutil
import subprocess

import pytest

from pabal import issuer as issuers, peers, server, wait

KIM = "kim@example.kr"


CONFIG = server.USUAL.replace('auth { source "accounts" }', """auth {
	source "accounts"
	source "oauth" { issuer "$issuer" audience "pabal" jwks "$url/jwks" ca-file "$ca"
		introspection "$url$path" login "pabal" password-file "$secret"
		timeout $timeout cache 0 }
}""")


@pytest.fixture
def issuer(certificate):
    with issuers.Issuer(certificate) as running:
        yield running


def put_secret(folder):
    path = folder / "client-secret"
    path.write_text(issuers.CLIENT[1] + "\n")
    path.chmod(0o600)
    if peers.is_root():
        shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
    return str(path)


@pytest.fixture
def begin(start, folder, issuer, ca, certificate):
    def make(path="/introspect", timeout="30s"):
        trusted = folder / "issuer-ca.pem"
        shutil.copy(ca.cert, trusted)
        trusted.chmod(0o644)
        pabal = start(server.Pabal, CONFIG, certificate=certificate, issuer=issuer.name,
                      url=issuer.url, path=path, timeout=timeout, ca=str(trusted),
                      secret=put_secret(folder))
        pabal.account(KIM, "secret")
        pabal.ca = ca
        return pabal
    return make


def bearer(token, user=KIM):
    return f"n,a={user},\1host=mail.example.kr\1port=587\1auth=Bearer {token}\1\1"


def old(token, user=KIM):
    return f"user={user}\1auth=Bearer {token}\1\1"


FORMS = {"OAUTHBEARER": bearer, "XOAUTH2": old}


def begin_session(pabal):
    client = pabal.client("submission")
    client.ehlo()
    assert client.starttls().code == 220
    client.ehlo()
    return client


def encode(text):
    return base64.b64encode(text.encode()).decode()


def log_in(pabal, token, mechanism="OAUTHBEARER", user=KIM):
    """(the words with which it is refused or None, the last reply)."""
    with begin_session(pabal) as client:
        reply = client.command(f"AUTH {mechanism} {encode(FORMS[mechanism](token, user))}")
        if reply.code != 334:
            return None, reply
        words = json.loads(base64.b64decode(reply.text))
        return words, client.command(encode("\1") if mechanism == "OAUTHBEARER" else "")


def test_offers_and_logins(begin, issuer):
    pabal = begin()
    issuer.opaque = {"opaque": {"active": True, **issuer.claims()}}
    with pabal.client("submission") as client:
        client.ehlo()
        assert "AUTH" not in client.extensions, "a token is never sent in the clear"
        client.starttls()
        client.ehlo()
        offered = client.extensions["AUTH"].split()
        assert {"OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"} <= set(offered), offered
        assert client.auth_plain(KIM, "secret").code == 235, "accounts are there beside it"
    for mechanism in FORMS:
        for token in (issuer.token(), "opaque"):
            for user in (KIM, "kim") + (("",) if mechanism == "XOAUTH2" else ()):
                assert log_in(pabal, token, mechanism, user)[1].code == 235, (mechanism, user)
    pabal.await_event("auth", account=KIM, code="235")
    with begin_session(pabal) as client:  # without an initial response
        reply = client.command("AUTH OAUTHBEARER")
        assert reply.code == 334 and reply.text == ""
        assert client.command(encode(bearer(issuer.token()))).code == 235
        assert client.mail(KIM).code == 250
        assert client.rcpt("lee@elsewhere.test").code == 250


def test_a_token_is_no_password_and_a_password_no_token(begin, issuer):
    pabal = begin()
    with begin_session(pabal) as client:
        assert client.auth_plain(KIM, issuer.token()).code == 535
    words, reply = log_in(pabal, "secret")
    assert words["status"] == "invalid_token" and reply.code == 535


@pytest.mark.parametrize("mechanism", FORMS)
def test_refusals(begin, issuer, mechanism):
    pabal = begin()
    status = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[mechanism]
    for reason, token in [
            ("expired", issuer.token(exp=1000)), ("another audience", issuer.token(aud="web")),
            ("issuer is", issuer.token(iss="https://other.kr")),
            ("signature is wrong", issuer.token(key=issuers.Key("one"))),
            ("not active", issuers.forge({"alg": "none"}, issuer.claims())), ("not active", "opaque")]:
        mark = pabal.log.mark()
        words, reply = log_in(pabal, token, mechanism)
        assert words["status"] == status and words["scope"], words
        assert reply.code == 535 and reply.enhanced == "5.7.8", reply
        event = pabal.await_event("auth", since=mark, code="535", account=KIM)
        assert reason in event["reason"], event
        assert token not in pabal.log.text() and issuers.CLIENT[1] not in pabal.log.text()


def test_nobody_acts_as_somebody_else(begin, issuer):
    pabal = begin()
    pabal.account("lee@example.kr", "secret")
    for mechanism in FORMS:
        words, reply = log_in(pabal, issuer.token(), mechanism, "lee@example.kr")
        assert words and reply.code == 535, reply
    pabal.run("account", "disable", KIM)
    words, reply = log_in(pabal, issuer.token())
    assert words and reply.code == 535
    pabal.await_event("auth", code="535", reason="disabled")


def test_without_an_account_the_domain_must_be_ours(begin, issuer):
    pabal = begin()
    ours, theirs = "park@example.kr", "park@elsewhere.test"
    assert log_in(pabal, issuer.token(email=ours), user=ours)[1].code == 235
    words, reply = log_in(pabal, issuer.token(email=theirs), user=theirs)
    assert words and reply.code == 535, reply
    pabal.await_event("auth", code="535", account=theirs,
                      reason="a token of somebody who is not of our domains")


def test_odd_dialogues(begin, issuer):
    pabal = begin()
    with begin_session(pabal) as client:
        for message in ("", "x", "n,,\1\1", "p=tls-exporter,,\1auth=Bearer t\1\1"):
            reply = client.command(f"AUTH OAUTHBEARER {encode(message) or '='}")
            assert reply.code == 334 and json.loads(base64.b64decode(reply.text))["status"]
            assert client.command("*").code == 501, "a failed client may give up"
        pabal.await_event("auth", status="failed", reason="malformed response", client="127.0.0.1")
        # Who fails and then brings a right token has failed.
        assert client.command(f"AUTH OAUTHBEARER {encode('x')}").code == 334
        assert client.command(encode(bearer(issuer.token()))).code == 535
        assert client.command(f"AUTH OAUTHBEARER {encode(bearer(issuer.token()))}").code == 235


def test_an_endpoint_that_is_dead_or_slow(begin, issuer):
    pabal = begin(path="/slow", timeout="2s")
    assert log_in(pabal, issuer.token())[1].code == 235
    words, reply = log_in(pabal, "opaque")
    assert words is None and reply.code == 454 and reply.enhanced == "4.7.0", reply
    issuer.stop()
    words, reply = log_in(pabal, "opaque")
    assert words is None and reply.code == 454
    pabal.await_event("auth", code="454")
    with begin_session(pabal) as client:
        assert client.auth_plain(KIM, "secret").code == 235, "passwords need no issuer"


# ---- real clients

def curl(pabal, token, mechanism):
    return subprocess.run(
        ["curl", "-sS", f"smtp://localhost:{pabal.port('submission')}", "--ssl-reqd", "--cacert",
         pabal.ca.cert, "--user", f"{KIM}:", "--oauth2-bearer", token, "--login-options",
         f"AUTH={mechanism}", "--mail-from", KIM, "--mail-rcpt", KIM, "-T", "-"],
        input="Subject: curl\r\n\r\nHello.\r\n", text=True, capture_output=True, timeout=60)


def msmtp(pabal, token, mechanism):
    return subprocess.run(
        ["msmtp", "--file=/dev/null", "--host=localhost", f"--port={pabal.port('submission')}",
         "--tls=on", "--tls-starttls=on", f"--tls-trust-file={pabal.ca.cert}",
         f"--auth={mechanism.lower()}", f"--user={KIM}", f"--passwordeval=echo {token}",
         f"--from={KIM}", KIM],
        input="Subject: msmtp\r\n\r\nHello.\r\n", text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("program", [curl, msmtp])
def test_real_clients(begin, issuer, program):
    pabal = begin()
    for mechanism in FORMS:
        done = program(pabal, issuer.token(), mechanism)
        assert done.returncode == 0, done
        done = program(pabal, issuer.token(exp=1000), mechanism)
        assert done.returncode != 0, done
    pabal.wait_messages(KIM, 2)
    wait.until(lambda: len(pabal.log.events("auth", code="535")) == 2, 20, "both failures")
