# SPDX-License-Identifier: ISC
"""Logging in with Kerberos tickets of a real KDC: GSSAPI, as curl speaks it."""

import os
import re
import shutil
import smtplib
import subprocess
import sys

import pytest

from pabal import kerberos, peers, server

pytestmark = pytest.mark.skipif(not kerberos.have(), reason="curl has no GSS-API here")

REALM, HOST = "EXAMPLE.KR", "mail.example.kr"
CONFIG = server.USUAL.replace('"example.kr" }', '"example.kr" "people.example" }').replace(
    'server "submission" {', 'server "submission" { mechanisms "GSSAPI" "GSS-SPNEGO" "PLAIN" '
).replace('auth { source "accounts" }', 'auth { source "accounts" gssapi { $gssapi } }')


@pytest.fixture(scope="module")
def realm(make_folder):
    folder = make_folder("kdc")
    users = {"kim": "secret", "lee": "secret", "nobody": "secret", "stale": "secret"}
    with kerberos.Realm(folder, REALM, users) as running:
        yield running


def put_keytab(folder, keytab):
    path = folder / "smtp.keytab"
    path.write_bytes(keytab.read_bytes())
    path.chmod(0o600)
    if peers.is_root():
        shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
    return path


def start(make_folder, certificate, gssapi, keytab=None, name="kerberos"):
    folder = make_folder(name)
    if keytab:
        gssapi = f'keytab "{put_keytab(folder, keytab)}" {gssapi}'
    return server.Pabal(folder, CONFIG, certificate=certificate, gssapi=gssapi)


@pytest.fixture(scope="module")
def house(make_folder, certificate, realm):
    keytab = realm.keytab(f"smtp/{HOST}", "good.keytab")
    with start(make_folder, certificate, f'realm "{REALM}"', keytab) as running:
        running.account("kim@example.kr", "other")
        running.account("stale@example.kr", "other")
        yield running


def offered(house):
    with smtplib.SMTP("localhost", house.port("submission"), timeout=60) as client:
        client.starttls()
        client.ehlo("client.example")
        return client.esmtp_features.get("auth", "").split()


def log_in(house, environment, mechanism="GSSAPI", to="kim@example.kr"):
    return kerberos.curl(HOST, house.port("submission"), environment, "--login-options",
                         f"AUTH={mechanism}", "--user", ":", to=to)


def test_it_is_offered(house):
    assert offered(house)[:2] == ["GSSAPI", "GSS-SPNEGO"]


def test_a_ticket_gets_in(house, realm):
    done = log_in(house, realm.ticket("kim", "secret"))
    assert done.returncode == 0, done.stderr + house.log.text()[-3000:]
    accepted = house.await_event("accept", account="kim@example.kr")
    assert accepted
    assert b"by ticket" in house.wait_messages("kim@example.kr")[0]


# curl speaks no GSS-SPNEGO with SMTP.
SPNEGO = """
import base64, smtplib, sys
import gssapi
client = smtplib.SMTP("localhost", int(sys.argv[1]), timeout=60)
client.starttls()
client.ehlo("client.example")
context = gssapi.SecurityContext(
    name=gssapi.Name(sys.argv[2], gssapi.NameType.hostbased_service),
    mech=gssapi.OID.from_int_seq("1.3.6.1.5.5.2"), usage="initiate")
code, said = client.docmd("AUTH GSS-SPNEGO", base64.b64encode(context.step()).decode())
while code == 334:
    token = base64.b64decode(said)
    answer = context.step(token) if token and not context.complete else None
    code, said = client.docmd(base64.b64encode(answer or b"").decode())
print(code, context.complete)
"""


def spnego(house, environment):
    done = subprocess.run(
        [sys.executable, "-c", SPNEGO, str(house.port("submission")), f"smtp@{HOST}"],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_ticket_inside_spnego_gets_in(house, realm):
    since = house.log.mark()
    assert spnego(house, realm.ticket("kim", "secret")) == ["235", "True"]
    house.await_event("auth", since=since, account="kim@example.kr", code="235")
    assert spnego(house, realm.ticket("nobody", "secret"))[0] == "535"


def test_who_has_no_account_is_refused(house, realm):
    since = house.log.mark()
    done = log_in(house, realm.ticket("nobody", "secret"))
    assert done.returncode != 0 and "535" in done.stderr, done.stderr
    house.await_event("login-failed", since=since, account="nobody@example.kr",
                      reason=re.compile("unknown name"))


def test_without_a_ticket_nobody_gets_in(house, realm):
    done = log_in(house, realm.environment("never"))
    assert done.returncode != 0


def test_a_ticket_that_our_keys_do_not_open_is_refused(make_folder, certificate, realm):
    """As a client has one when the keys were made anew since, or when a KDC is forged."""
    folder = make_folder("forged")
    with kerberos.Realm(folder, REALM, {"kim": "guess"}) as forged:
        forged.keytab(f"smtp/{HOST}", "unused.keytab")
        keytab = realm.keytab(f"smtp/{HOST}", "true.keytab")
        with start(make_folder, certificate, f'realm "{REALM}"', keytab, "deceived") as house:
            house.account("kim@example.kr", "other")
            since = house.log.mark()
            done = log_in(house, forged.ticket("kim", "guess"))
            assert done.returncode != 0 and "535" in done.stderr, done.stderr
            house.await_event("login-failed", since=since, reason=re.compile("GSSAPI"))


def test_an_expired_ticket_is_refused(make_folder, certificate):
    """The client and its KDC live two days ago, so that the client itself sees nothing wrong."""
    folder = make_folder("past-kdc")
    with kerberos.Realm(folder, REALM, {"kim": "secret"}, shift="-2d") as past:
        keytab = past.keytab(f"smtp/{HOST}", "past.keytab")
        with start(make_folder, certificate, f'realm "{REALM}"', keytab, "past") as here:
            here.account("kim@example.kr", "other")
            since = here.log.mark()
            done = log_in(here, past.ticket("kim", "secret"))
            assert done.returncode != 0 and "535" in done.stderr, done.stderr
            here.await_event("auth", since=since, reason=re.compile("expired|skew"))


def test_a_realm_stands_for_a_domain(make_folder, certificate, realm):
    keytab = realm.keytab(f"smtp/{HOST}", "mapped.keytab")
    with start(make_folder, certificate, f'realm "{REALM}" domain "people.example"', keytab,
               "mapped") as mapped:
        mapped.account("kim@people.example", "other")
        mapped.account("lee@example.kr", "other")
        done = log_in(mapped, realm.ticket("kim", "secret"), to="kim@people.example")
        assert done.returncode == 0, done.stderr
        mapped.await_event("accept", account="kim@people.example")
        assert "535" in log_in(mapped, realm.ticket("lee", "secret")).stderr


def test_a_foreign_realm_is_refused(make_folder, certificate, realm):
    keytab = realm.keytab(f"smtp/{HOST}", "foreign.keytab")
    with start(make_folder, certificate, 'realm "OTHER.KR"', keytab, "foreign") as other:
        other.account("kim@example.kr", "other")
        since = other.log.mark()
        assert "535" in log_in(other, realm.ticket("kim", "secret")).stderr
        other.await_event("auth", since=since, reason=re.compile("realm"))


@pytest.mark.parametrize("principal", [None, "smtp/elsewhere.example.kr"])
def test_without_our_keys_it_is_not_offered(make_folder, certificate, realm, principal):
    keytab = principal and realm.keytab(principal, "elsewhere.keytab")
    with start(make_folder, certificate, f'realm "{REALM}"', keytab, "without") as without:
        assert offered(without) == ["PLAIN"]
        said = without.run("check", check=False)
        assert re.search("GSSAPI.*key", said.stdout + said.stderr), said.stdout + said.stderr
