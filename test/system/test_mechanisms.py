# SPDX-License-Identifier: ISC
"""SASL mechanisms as real clients speak them, on 587 and 465: what is offered,
who gets in, and that a stripped channel binding is noticed."""

import base64
import hashlib
import hmac
import itertools
import os
import re
import smtplib
import ssl
import subprocess

import pytest

from pabal import server

CONFIG = server.USUAL.replace('server "submission" {', 'server "submission" { $extra').replace(
    'server "submissions" {', 'server "submissions" { $extra')

WISH = "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"
SERVERS = ["submission", "submissions"]


@pytest.fixture(scope="module")
def house(make_folder, certificate, ca):
    folder = make_folder("mechanisms")
    with server.Pabal(folder, CONFIG, certificate=certificate, extra="") as running:
        running.account("kim@example.kr", "secret")
        running.ca = ca
        yield running


ADDRESSES = itertools.count(2)


def address():
    """Another one each time: failures of one address are answered later and later."""
    number = next(ADDRESSES)
    return f"127.0.{number // 250}.{number % 250 + 1}"


def connect(house, name, version=None):
    context = ssl.create_default_context(cafile=house.ca.cert)
    if version:
        context.minimum_version = context.maximum_version = version
    words = {"timeout": 60, "source_address": (address(), 0)}
    if name == "submissions":
        client = smtplib.SMTP_SSL("localhost", house.port(name), context=context, **words)
    else:
        client = smtplib.SMTP("localhost", house.port(name), **words)
        client.starttls(context=context)
    client.ehlo("client.example")
    return client


@pytest.mark.parametrize("name", SERVERS)
def test_the_wish_is_offered_after_tls(house, name):
    with connect(house, name) as client:
        assert client.esmtp_features["auth"].split() == WISH.split()


def test_nothing_is_offered_before_tls(house):
    with smtplib.SMTP("localhost", house.port("submission"), timeout=60) as client:
        client.ehlo("client.example")
        assert "auth" not in client.esmtp_features


# ---- GNU SASL

def gsasl(house, mechanism, password, *more):
    words = ["gsasl", "--client", "--smtp", f"--mechanism={mechanism}",
             "--authentication-id=kim@example.kr", f"--password={password}",
             f"--x509-ca-file={house.ca.cert}", *more]
    return subprocess.run([*words, "--connect", f"localhost:{house.port('submission')}"], input="QUIT\n",
                          capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_gsasl(house, mechanism):
    assert gsasl(house, mechanism, "wrong", "--no-cb").returncode != 0
    done = gsasl(house, mechanism, "secret", "--no-cb")
    assert done.returncode == 0, done.stdout + done.stderr


def test_gsasl_binds_to_the_channel(house):
    done = gsasl(house, "SCRAM-SHA-256-PLUS", "secret")
    assert done.returncode == 0, done.stdout + done.stderr


# ---- msmtp chooses by itself

@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("auth", ["on", "scram-sha-256", "plain", "login"])
def test_msmtp(house, name, auth):
    assert msmtp(house, name, auth, "wrong").returncode == 77
    done = msmtp(house, name, auth, "secret")
    assert done.returncode == 0, done.stderr


def msmtp(house, name, auth, password):
    words = ["msmtp", "--file=/dev/null", "--host=localhost", f"--port={house.port(name)}",
             "--domain=client.example", "--from=kim@example.kr", "--tls=on",
             f"--tls-starttls={'on' if name == 'submission' else 'off'}",
             f"--tls-trust-file={house.ca.cert}", f"--auth={auth}", "--user=kim@example.kr",
             f"--source-ip={address()}", f"--passwordeval=echo {password}", "--", "kim@example.kr"]
    return subprocess.run(words, input="Subject: x\n\nx\n", text=True, capture_output=True, timeout=60)


# ---- a client of our own, to choose the binding and to lie

class Scram:
    """SCRAM-SHA-256 (RFC 7677) with any GS2 header and any binding."""

    def __init__(self, user, password, header, binding=b""):
        self.password, self.header, self.binding = password, header, binding
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user},r={self.nonce}"

    def first(self):
        return (self.header + self.bare).encode()

    def final(self, challenge):
        words = dict(part.split("=", 1) for part in challenge.split(","))
        assert words["r"].startswith(self.nonce) and len(words["r"]) > len(self.nonce) + 8
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(words["s"]), int(words["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        bound = base64.b64encode(self.header.encode() + self.binding).decode()
        without = f"c={bound},r={words['r']}"
        self.all = f"{self.bare},{challenge},{without}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), self.all, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.server_key = hmac.digest(salted, b"Server Key", "sha256")
        return f"{without},p={base64.b64encode(proof).decode()}".encode()

    def check(self, last):
        expected = base64.b64encode(hmac.digest(self.server_key, self.all, "sha256")).decode()
        assert last == f"v={expected}"


def say(client, octets):
    code, text = client.docmd(base64.b64encode(octets).decode())
    return code, base64.b64decode(text).decode() if code == 334 else text.decode()


def begin(client, mechanism, octets):
    code, text = client.docmd("AUTH", f"{mechanism} {base64.b64encode(octets).decode()}")
    return code, base64.b64decode(text).decode() if code == 334 else text.decode()


def log_in(client, mechanism, scram):
    code, text = begin(client, mechanism, scram.first())
    if code != 334:
        return code
    code, text = say(client, scram.final(text))
    if code != 334:
        return code
    scram.check(text)
    return say(client, b"")[0]


def end_point(client):
    return hashlib.sha256(client.sock.getpeercert(binary_form=True)).digest()


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("user, password, code", [
    ("kim@example.kr", "secret", 235), ("kim", "secret", 235), ("kim", "wrong", 535),
    ("kim", "", 535), ("kim", "x" * 4000, 535), ("nobody", "secret", 535)])
def test_scram(house, name, user, password, code):
    with connect(house, name) as client:
        assert log_in(client, "SCRAM-SHA-256", Scram(user, password, "n,,")) == code
        if code == 535:  # and the name is free of the failure
            assert log_in(client, "SCRAM-SHA-256", Scram("kim", "secret", "n,,")) == 235


@pytest.mark.parametrize("name", SERVERS)
def test_scram_bound_to_the_certificate(house, name):
    with connect(house, name) as client:
        scram = Scram("kim", "secret", "p=tls-server-end-point,,", end_point(client))
        assert log_in(client, "SCRAM-SHA-256-PLUS", scram) == 235


@pytest.mark.parametrize("header, binding, mechanism", [
    ("p=tls-server-end-point,,", b"of another certificate", "SCRAM-SHA-256-PLUS"),
    ("p=tls-exporter,,", b"of another connection", "SCRAM-SHA-256-PLUS"),
    ("p=tls-unique,,", b"not of TLS 1.3", "SCRAM-SHA-256-PLUS"),
    ("p=unheard-of,,", b"x", "SCRAM-SHA-256-PLUS"),
    ("n,,", b"", "SCRAM-SHA-256-PLUS"),
    ("y,,", b"", "SCRAM-SHA-256"),  # somebody took the -PLUS out of our list
])
def test_a_wrong_or_stripped_binding_is_refused(house, header, binding, mechanism):
    with connect(house, "submission") as client:
        assert log_in(client, mechanism, Scram("kim", "secret", header, binding)) == 535
        assert log_in(client, "SCRAM-SHA-256", Scram("kim", "secret", "n,,")) == 235


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bindings_by_version(house, name, version):
    """The right one lets in, that of another connection or certificate does not;
    tls-unique is of TLS 1.2 alone."""
    def unique(client):
        return client.sock.get_channel_binding("tls-unique")

    rows = [("tls-server-end-point", lambda one, other: end_point(one), 235),
            ("tls-server-end-point", lambda one, other: bytes(32), 535),
            ("tls-server-end-point", lambda one, other: b"", 535)]
    if version == ssl.TLSVersion.TLSv1_2:
        rows += [("tls-unique", lambda one, other: unique(one), 235),
                 ("tls-unique", lambda one, other: unique(one)[:-1], 535),
                 ("tls-unique", lambda one, other: unique(other), 535),
                 ("tls-server-end-point", lambda one, other: unique(one), 535)]
    for kind, binding, code in rows:
        with connect(house, name, version) as one, connect(house, name, version) as other:
            scram = Scram("kim", "secret", f"p={kind},,", binding(one, other))
            assert log_in(one, "SCRAM-SHA-256-PLUS", scram) == code, kind
            if code == 535:  # and the name is free of the failure
                assert log_in(one, "SCRAM-SHA-256", Scram("kim", "secret", "n,,")) == 235


def test_whom_it_acts_for(house):
    with connect(house, "submission") as client:
        scram = Scram("kim", "secret", "n,a=lee@example.kr,")
        assert log_in(client, "SCRAM-SHA-256", scram) == 535
        scram = Scram("kim", "secret", "n,a=kim@example.kr,")
        assert log_in(client, "SCRAM-SHA-256", scram) == 235


def test_names_cannot_be_counted(house):
    """Known or not, a name has one salt and count, also after a restart."""

    def challenge(user):
        with connect(house, "submission") as client:
            code, text = begin(client, "SCRAM-SHA-256", Scram(user, "x", "n,,").first())
            assert code == 334
            assert client.docmd("*")[0] == 501
            return re.search(",s=.*", text).group()

    known, unknown = challenge("kim"), challenge("nobody")
    assert len(known) == len(unknown) and known != unknown
    assert challenge("nobody@EXAMPLE.kr") == unknown != challenge("nobody2")
    house.stop()
    house.start()
    assert (challenge("kim"), challenge("nobody")) == (known, unknown)


@pytest.mark.parametrize("name", SERVERS)
def test_dialogues_that_break_off(house, name):
    with connect(house, name) as client:
        assert client.docmd("AUTH", "SCRAM-SHA-256")[0] == 334
        assert client.docmd("*")[0] == 501
        assert client.docmd("AUTH", "SCRAM-SHA-256 ***")[0] == 501
        scram = Scram("kim", "secret", "n,,")
        assert begin(client, "SCRAM-SHA-256", scram.first())[0] == 334
        assert client.docmd("!!")[0] == 501
        assert begin(client, "SCRAM-SHA-256", scram.first())[0] == 334
        assert client.docmd("*")[0] == 501
        assert begin(client, "SCRAM-SHA-256", b"\0\xff,")[0] == 535
        assert begin(client, "EXTERNAL", b"kim")[0] == 504
        assert log_in(client, "SCRAM-SHA-256", scram) == 235


# ---- what the configuration names

def test_named_mechanisms_replace_the_wish(make_folder, certificate, ca):
    tmp_path = make_folder("named")
    extra = '\nmechanisms "PLAIN" "ANONYMOUS" "EXTERNAL"\ncompat { auth-equals }\n'
    with server.Pabal(tmp_path, CONFIG, certificate=certificate, extra=extra) as running:
        running.ca = ca
        running.account("kim@example.kr", "secret")
        with connect(running, "submissions") as client:
            lines = ehlo_lines(client)
            assert "250-AUTH EXTERNAL PLAIN ANONYMOUS" in lines
            assert "250-AUTH=LOGIN PLAIN" in lines
            assert begin(client, "SCRAM-SHA-256", b"n,,n=kim,r=x")[0] == 504
            assert begin(client, "EXTERNAL", b"kim")[0] == 535  # no certificate
            assert begin(client, "ANONYMOUS", b"trace")[0] == 235


def ehlo_lines(client):
    client.putcmd("ehlo", "client.example")
    lines = []
    while True:
        line = client.file.readline().decode().rstrip()
        lines.append(line)
        if line[3:4] != "-":
            return lines


# ---- the old ones, for accounts that keep a recoverable password

OLD = ["CRAM-MD5", "DIGEST-MD5", "NTLM"]


@pytest.fixture(scope="module")
def old_house(make_folder, certificate, ca):
    folder = make_folder("old")
    extra = "\nmechanisms " + " ".join(f'"{m}"' for m in [*OLD, "PLAIN"]) + "\n"
    with server.Pabal(folder, CONFIG, certificate=certificate, extra=extra) as running:
        running.ca = ca
        running.account("kim@example.kr", "secret")
        running.account("lee@example.kr", "secret")
        running.run("account", "set", "kim@example.kr", "--legacy", "on", input="secret\n")
        yield running


def curl(house, name, mechanism, user, password):
    scheme = "smtps" if name == "submissions" else "smtp"
    words = ["curl", "-sS", "--ssl-reqd", f"{scheme}://localhost:{house.port(name)}/client.example",
             "-4", "--interface", address(), "--cacert", house.ca.cert, "--user", f"{user}:{password}",
             "--login-options", f"AUTH={mechanism}", "-X", "NOOP"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("mechanism", OLD)
def test_curl_with_a_recoverable_password(old_house, name, mechanism):
    for user, password in (("kim@example.kr", "wrong"), ("lee@example.kr", "secret"),
                           ("nobody", "secret")):
        done = curl(old_house, name, mechanism, user, password)
        assert done.returncode == 67, done.stderr
    done = curl(old_house, name, mechanism, "kim@example.kr", "secret")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mechanism", OLD)
def test_swaks_with_a_recoverable_password(old_house, mechanism):
    words = ["swaks", "--server", f"127.0.0.1:{old_house.port('submission')}", "--tls",
             "--from", "kim@example.kr", "--to", "kim@example.kr", "--quit-after", "AUTH",
             "--auth", mechanism, "--auth-user", "kim@example.kr", "--auth-password", "secret"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- a certificate instead of a password

def test_external_maps_a_certificate(make_folder, certificate, ca):
    folder = make_folder("external")
    config = CONFIG.replace(
        'tls { certificate "$certificate" }',
        'tls { certificate "$certificate" ca-file "$authority" request-client-certificate yes }').replace(
        'auth { source "accounts" }',
        'auth {\nsource "accounts"\nexternal { map "subject CN=laptop" "kim@example.kr" }\n}')
    authority = folder / "authority.pem"
    authority.write_bytes(ca.cert.read_bytes())
    authority.chmod(0o644)
    with server.Pabal(folder, config, certificate=certificate, authority=str(authority),
                      extra='\nmechanisms "EXTERNAL" "PLAIN"\n') as running:
        running.account("kim@example.kr", "secret")
        for stem, wanted, code in (("laptop", b"", 235), ("laptop", b"kim", 235),
                                   ("laptop", b"lee@example.kr", 535), ("stranger", b"", 535)):
            context = ssl.create_default_context(cafile=ca.cert)
            shown = ca.issue(stem)
            context.load_cert_chain(shown.cert, shown.key)
            with smtplib.SMTP_SSL("localhost", running.port("submissions"), context=context,
                                  timeout=60, source_address=(address(), 0)) as client:
                client.ehlo("client.example")
                answer = begin(client, "EXTERNAL", wanted) if wanted else client.docmd(
                    "AUTH", "EXTERNAL =")
                assert answer[0] == code, (stem, wanted, answer)
