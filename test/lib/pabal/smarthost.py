# SPDX-License-Identifier: ISC
"""What the tests of smart hosts share: a Postfix with the authentication of
Dovecot, and a server of ours whose mail goes there."""

import re
import shutil

import pytest

from . import peers, server, smtp

KIM = "kim@example.kr"
ME = "me@postfix.test"
ADDRESSES = (f"192.0.2.{n}" for n in range(41, 250))
MORE = """\
queue { first-retry 1s max-retry 2s min-free-size 1M min-free-percent 0 }
destination "*" { messages 1 }
"""


def owned(path, text):
    """A secret file of the server's user."""
    path.write_text(text)
    path.chmod(0o600)
    shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
    return path


@pytest.fixture
def address():
    """Another one for each test: the last child of the Postfix before may still answer."""
    return next(ADDRESSES)


@pytest.fixture
def postfix(start, ca, address):
    """postfix(mechanisms): offers them after STARTTLS; its .dovecot knows the password."""
    def make(mechanisms, encrypted=True, more=""):
        dovecot = start(peers.Dovecot, {ME: "open-sesame"}, mechanisms=mechanisms, more=more)
        running = start(
            peers.Postfix, address=address, port=587, sasl=dovecot.auth,
            certificate=ca.issue("smart.a.test") if encrypted else None,
            main="smtpd_sasl_authenticated_header = yes")
        running.dovecot = dovecot
        return running
    return make


@pytest.fixture
def run(start, certificate, ca, folder, address):
    """run(secret): a server whose route "*" leads to the smart host with these settings."""
    def make(settings, host="smart.a.test:587", at=address, more=""):
        trusted = folder / "ca.crt"
        trusted.write_bytes(ca.cert.read_bytes())
        trusted.chmod(0o644)
        knot = start(peers.Knot, {"a.test": f"smart A {at}"})
        running = start(
            server.Pabal, certificate=certificate, dns=knot.server, more=MORE + more +
            f'tls {{ ca-file "{trusted}" }}\nroute "*" {{\n\tsmtp "{host}"\n\t{settings}\n}}\n')
        running.account(KIM, "secret")
        return running
    return make


@pytest.fixture
def password(folder):
    def make(text="open-sesame"):
        return f'user "{ME}"\n\tpassword-file "{owned(folder / "smart-password", text + chr(10))}"'
    return make


def submit(running, recipient="lee@postfix.test"):
    with running.session() as client:
        assert client.mail(KIM).code == 250
        assert client.rcpt(recipient).code == 250
        assert client.data(smtp.text_message(KIM, recipient)).code == 250


def result(running, outcome, since=0, **fields):
    return running.await_event("result", 40, since=since, outcome=outcome, **fields)


def logins(host):
    """The mechanism and name of each login that Postfix took."""
    return re.findall(r"sasl_method=([A-Z0-9-]+), sasl_username=(\S+)", host.log_text())


def refusals(host):
    return re.findall(r"SASL (\S+) authentication failed", host.log_text())
