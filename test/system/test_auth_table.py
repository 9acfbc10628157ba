# SPDX-License-Identifier: ISC
"""The table of logins: every mechanism x everything that can be right or wrong x
with and without an initial response x 587 and 465. What the client is told, what
its session may do afterwards, and what the log says of it."""

import hashlib
import ipaddress
import itertools
import json
import re
import time

import pytest

from pabal import sasl, server
from pabal.issuer import Key

SERVERS = ["submission", "submissions"]
ALL = list(sasl.MECHANISMS)
BINDING = [m for m in ALL if m.endswith("-PLUS")]
TOKENS = ["OAUTHBEARER", "XOAUTH2"]
OWN = [m for m in ALL if m not in (*TOKENS, "EXTERNAL", "ANONYMOUS")]  # with a password of ours
SERVER_FIRST = ["CRAM-MD5", "DIGEST-MD5"]
ONE_STEP = [*TOKENS, "EXTERNAL", "ANONYMOUS", "PLAIN"]

PATIENCE = 60  # for the log, in seconds
LINE = 12288  # with CRLF, RFC 4954 4
NOT_BASE64 = ["!!", "QUJD=", "=QUJ", "QQ==QUJD", "QUJ", "*QUJD"]

KIM, LEE, OFF = "kim@example.kr", "lee@example.kr", "off@example.kr"

# Guessing has its own tests.
CONFIG = server.USUAL.replace(
    'tls { certificate "$certificate" }',
    'tls { certificate "$certificate" ca-file "$authority" request-client-certificate yes }',
).replace(
    'auth { source "accounts" }',
    """auth {
    source "accounts"
    source "oauth" { issuer "https://id.example.kr" audience "pabal" jwks-file "$keys" }
    external { map "subject CN=laptop" "kim@example.kr" "subject CN=shut" "off@example.kr" }
    guess { account-address 0 address 0 names 0 network 0 network-names 0 account 0 }
}""").replace("require {", "$mechanisms require {")


class House:
    """The server, and who comes to it."""

    def __init__(self, running, ca, key):
        self.running, self.ca, self.key = running, ca, key
        self.addresses = map(str, itertools.chain.from_iterable(
            ipaddress.ip_network(n).hosts() for n in ("198.51.100.0/24", "203.0.113.0/24",
                                                      "192.0.2.0/24", "127.9.0.0/16")))
        self.contexts = {stem: ca.client_context(ca.issue(stem) if stem else None)
                         for stem in (None, "laptop", "stranger", "shut")}

    def client(self, name, shows=None):
        """After EHLO, under TLS; `source` and `end_point` are noted in it."""
        source = next(self.addresses)
        client = self.running.client(name, source=source, tls_context=self.contexts[shows],
                                     timeout=60)
        client.source = source
        if name == "submission":
            client.ehlo()
            assert client.starttls(self.contexts[shows]).code == 220
        client.ehlo()
        client.end_point = hashlib.sha256(client.socket.getpeercert(binary_form=True)).digest()
        return client

    def token(self, email, key=None, aud="pabal"):
        now = int(time.time())
        return (key or self.key).sign({"iss": "https://id.example.kr", "aud": aud, "email": email,
                                       "iat": now, "exp": now + 600})

    def await_failure(self, client, mechanism, reason):
        """What administrators and fail2ban read, and the session's own line."""
        reason = re.compile(re.escape(reason))
        self.running.await_event("login-failed", PATIENCE, client=client.source, mechanism=mechanism,
                                 reason=reason)
        self.running.await_event("auth", PATIENCE, client=client.source, code=535, rule="auth-failed",
                                 reason=reason)


@pytest.fixture(scope="module")
def house(make_folder, certificate, ca):
    folder = make_folder("table")
    key = Key("one", "ES256")
    keys, authority = folder / "keys.json", folder / "authority.pem"
    keys.write_text(json.dumps({"keys": [key.jwk]}))
    authority.write_bytes(ca.cert.read_bytes())
    authority.chmod(0o644)
    with server.Pabal(folder, CONFIG, certificate=certificate, authority=str(authority),
                      keys=str(keys), mechanisms="mechanisms " + " ".join(f'"{m}"' for m in ALL)) as running:
        for name in (KIM, LEE, OFF):
            running.account(name, "secret")
            running.run("account", "set", name, "--legacy", "on", input="secret\n")
        running.run("account", "disable", OFF)
        running.account("new@example.kr", "secret")
        yield House(running, ca, key)


# ---- the rows

FAILED = (535, "5.7.8")
DENIED = "wrong name or password"  # the same words, whatever it was

# by how the mechanism's name begins
WRONG = {"SCRAM": "StoredKey mismatch", "DIGEST": "response doesn't match",
         "NTLM": "incorrect NTLMv2 response", "EXTERNAL": "no client certificate",
         "OAUTHBEARER": "signature", "XOAUTH2": "signature", "": "wrong password"}
EMPTY = {**WRONG, "PLAIN": "malformed response", "OAUTHBEARER": "malformed", "XOAUTH2": "malformed"}
LONG = {**WRONG, "OAUTHBEARER": "token", "XOAUTH2": "token"}
UNKNOWN = {"EXTERNAL": "no account for this certificate", "OAUTHBEARER": "another audience",
           "XOAUTH2": "another audience", "": "unknown name"}


def of(mechanism, table):
    return table[max((start for start in table if mechanism.startswith(start)), key=len)]


def say(house, client, mechanism, initial, **changes):
    user = changes.get("user", "kim")
    if mechanism in TOKENS:
        # Whoever holds a token is who it says; the name is what the client wishes.
        password = house.token(f"{user}@example.kr", **changes.get("token", {}))
    else:
        password = "secret"
    who = sasl.Who(user, changes.get("password", password), changes.get("authzid", ""),
                   client.end_point)
    return sasl.converse(client, mechanism, who, initial)


# case -> (mechanisms, what is said: words for say(), certificate, reasons)
STRANGER = Key("one", "ES256")
CASES = {
    "right": (ALL, {}, "laptop", None),
    "right-authzid": ([m for m in OWN if m not in ("LOGIN", "CRAM-MD5", "NTLM")] + ["EXTERNAL"],
                      {"authzid": KIM}, "laptop", None),
    "wrong": ([*OWN, "EXTERNAL"], {"password": "wrong"}, None, WRONG),
    "wrong-key": (TOKENS, {"token": {"key": STRANGER}}, None, WRONG),
    "empty": ([*OWN, *TOKENS], {"password": ""}, None, EMPTY),
    "long": ([*OWN, *TOKENS], {"password": "x" * 4000}, None, LONG),
    "unknown": ([*OWN, "EXTERNAL"], {"user": "nobody"}, "stranger", UNKNOWN),
    "unknown-audience": (TOKENS, {"token": {"aud": "another"}}, None, UNKNOWN),
    "disabled": ([*OWN, *TOKENS, "EXTERNAL"], {"user": "off"}, "shut", {"": "disabled"}),
    "authzid": ([m for m in OWN if m not in ("LOGIN", "CRAM-MD5", "NTLM")]
                + ["EXTERNAL", "OAUTHBEARER"], {"authzid": LEE}, "laptop", {"": "authzid differs"}),
    "authzid-unknown": (["PLAIN", "SCRAM-SHA-256", "DIGEST-MD5", "EXTERNAL"],
                        {"authzid": "nobody@example.kr"}, "laptop", {"": "authzid differs"}),
}


def rows(cases):
    return [pytest.param(case, mechanism, initial, name,
                         id=f"{case}-{mechanism}-{'initial' if initial else 'asked'}-{name}")
            for case, mechanisms in cases.items() for mechanism in mechanisms
            for initial in (True, False) for name in SERVERS
            if not (initial and mechanism in SERVER_FIRST)]


def table(cases):
    return pytest.mark.parametrize("case, mechanism, initial, name", rows(cases))


@table({case: row[0] for case, row in CASES.items()})
def test_login(house, case, mechanism, initial, name):
    _, changes, shows, reasons = CASES[case]
    with house.client(name, shows if mechanism == "EXTERNAL" else None) as client:
        reply = say(house, client, mechanism, initial, **changes)
        if reasons is None:
            assert (reply.code, reply.enhanced) == (235, "2.7.0"), reply
            account = "anonymous@example.kr" if mechanism == "ANONYMOUS" else KIM
            is_in(client, account)
            event = house.running.await_event("auth", PATIENCE, client=client.source, code=235)
            assert event["account"] == account
            return
        assert (reply.code, reply.enhanced) == FAILED and reply.text.endswith(DENIED), reply
        house.await_failure(client, mechanism, of(mechanism, reasons))
        is_out_and_may_log_in(client)


def is_in(client, account=KIM):
    assert client.command("AUTH PLAIN AGtpbQBzZWNyZXQ=").code == 503, "twice"
    assert client.mail(account).code == 250


def is_out_and_may_log_in(client):
    refused = client.mail(KIM)
    assert (refused.code, refused.enhanced) == (530, "5.7.0"), refused
    assert client.auth_plain("kim", "secret").code == 235
    assert client.mail(KIM).code == 250


# ---- what breaks off

def open_dialogue(house, client, mechanism, initial):
    """To where the server waits for the last thing that the client would say."""
    if mechanism in ONE_STEP:
        assert not initial
        reply = client.command(f"AUTH {mechanism}")
    else:
        talk = sasl.begin(mechanism, sasl.Who("kim", "secret", "", client.end_point), initial)
        first = next(talk)
        if first is None or not initial:
            reply = client.command(f"AUTH {mechanism}")
        else:
            reply = client.command(f"AUTH {mechanism} {sasl.encode(first)}")
    assert reply.code == 334, reply


def break_off(house, name, mechanism, initial, line, code, enhanced):
    """`line` instead of the response that the server waits for, or of the first one."""
    with house.client(name, "laptop" if mechanism == "EXTERNAL" else None) as client:
        if mechanism in ONE_STEP and initial:
            reply = client.command(f"AUTH {mechanism} {line}")
        else:
            open_dialogue(house, client, mechanism, initial)
            reply = client.command(line)
        # the command itself has a grammar, too
        codes = {enhanced, "5.5.4"} if code == 501 and initial else {enhanced}
        assert reply.code == code and reply.enhanced in codes, reply
        is_out_and_may_log_in(client)
        house.running.await_event(None, PATIENCE, client=client.source, code=code, rule=...)
        assert not house.running.log.events("login-failed", client=client.source), "nobody guessed"


EVERY = {"": ALL}


@pytest.mark.parametrize("case, mechanism, initial, name", [
    row for row in rows(EVERY) if not (row.values[1] in ONE_STEP and row.values[2])])
def test_cancelled(house, case, mechanism, initial, name):
    break_off(house, name, mechanism, initial, "*", 501, "5.7.0")


@table(EVERY)
def test_broken_base64(house, case, mechanism, initial, name):
    # one of them a row, all over the rows of a mechanism
    number = ALL.index(mechanism) + 2 * initial + SERVERS.index(name)
    break_off(house, name, mechanism, initial, NOT_BASE64[number % len(NOT_BASE64)], 501, "5.5.2")


@table(EVERY)
def test_overlong(house, case, mechanism, initial, name):
    """Nothing of the line is taken for a command, and its end is found."""
    break_off(house, name, mechanism, initial, "A" * LINE, 500, "5.5.6")


@pytest.mark.parametrize("text", NOT_BASE64)
def test_every_broken_base64(house, text):
    with house.client("submission") as client:
        for line in (f"AUTH PLAIN {text}", text):
            if not line.startswith("AUTH"):
                assert client.command("AUTH PLAIN").code == 334
            reply = client.command(line)
            assert reply.code == 501, reply
        is_out_and_may_log_in(client)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mechanism", ALL)
def test_the_longest_line(house, mechanism, name):
    """12288 octets with CRLF are taken, and are no login."""
    room = LINE - 2
    with house.client(name, "laptop" if mechanism == "EXTERNAL" else None) as client:
        if mechanism not in SERVER_FIRST:
            line = f"AUTH {mechanism} "
            reply = client.command(line + "A" * ((room - len(line)) // 4 * 4))
            assert reply.code in (535, 334), reply
            if reply.code == 334:
                assert client.command("*").code in (501, 535)
        assert client.command(f"AUTH {mechanism}").code == 334
        reply = client.command("A" * (room // 4 * 4))
        if reply.code == 334 and mechanism in TOKENS:  # told why; it has failed
            reply = client.command("")
        assert (reply.code, reply.enhanced) == FAILED, reply
        is_out_and_may_log_in(client)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mechanism", SERVER_FIRST)
def test_a_response_that_nobody_asked_for(house, mechanism, name):
    """RFC 4954 4: where the server begins, AUTH brings no response."""
    with house.client(name) as client:
        for first in ("a2lt", "="):
            reply = client.command(f"AUTH {mechanism} {first}")
            assert (reply.code, reply.enhanced) == (501, "5.7.0"), reply
        assert say(house, client, mechanism, False).code == 235
        is_in(client)


# ---- what is not offered

@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-3", "OTP", "GSSAPI", "KERBEROS_V4", "PLAIN-PLUS", "X"])
def test_not_offered(house, mechanism):
    with house.client("submission") as client:
        assert mechanism not in client.extensions["AUTH"].split()
        for line in (f"AUTH {mechanism}", f"AUTH {mechanism} AGtpbQBzZWNyZXQ="):
            reply = client.command(line)
            assert (reply.code, reply.enhanced) == (504, "5.5.4"), reply
        is_out_and_may_log_in(client)


@pytest.mark.parametrize("line", ["AUTH", "AUTH ", "AUTH PLAIN AGtpbQBzZWNyZXQ= more", "AUTH PL@IN",
                                  "AUTH " + "X" * 21])
def test_not_well_formed(house, line):
    with house.client("submission") as client:
        reply = client.command(line)
        assert reply.code in (501, 504), reply
        is_out_and_may_log_in(client)


@pytest.mark.parametrize("mechanism", ALL)
def test_not_without_tls(house, mechanism):
    with house.running.client("submission", source=next(house.addresses)) as client:
        client.ehlo()
        assert "AUTH" not in client.extensions
        for line in (f"AUTH {mechanism}", f"AUTH {mechanism} AGtpbQBzZWNyZXQ="):
            reply = client.command(line)
            assert reply.code == 530, reply
        assert client.mail(KIM).code == 530


def test_all_are_offered(house):
    for name in SERVERS:
        with house.client(name) as client:
            assert client.extensions["AUTH"].split() == sorted(
                client.extensions["AUTH"].split(), key=ALL.index)
            assert set(client.extensions["AUTH"].split()) == set(ALL)


# ---- accounts without what a mechanism needs

@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "DIGEST-MD5", "NTLM"])
def test_nothing_recoverable_is_stored(house, mechanism):
    """To the client it is a wrong password; the log says what would change it."""
    with house.client("submissions") as client:
        reply = say(house, client, mechanism, mechanism not in SERVER_FIRST, user="new")
        assert (reply.code, reply.enhanced) == FAILED and reply.text.endswith(DENIED), reply
        house.await_failure(client, mechanism, "account set new@example.kr --legacy on")
        assert client.auth_plain("new", "secret").code == 235
