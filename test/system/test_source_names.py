# SPDX-License-Identifier: ISC
"""Sources that say themselves whose password it is, with every kind of mechanism."""

import base64
import hashlib
import hmac
import os
import sqlite3

import pytest

from pabal import server

QUERY = "SELECT clear, account, submit FROM users WHERE alias = :user"
ROWS = [("kim@example.kr", "secret", "kim@example.kr", 1),
        ("k@example.kr", "secret", "kim@example.kr", 1),
        ("lee@example.kr", "secret", "lee@example.kr", 0)]


@pytest.fixture
def pabal(start, certificate, folder):
    shared = folder / "users"
    shared.mkdir(mode=0o755)
    with sqlite3.connect(shared / "users.db") as users:
        users.execute("CREATE TABLE users (alias TEXT, clear TEXT, account TEXT, submit INT)")
        users.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", ROWS)
    source = f'source "sql" {{ engine "sqlite" path "{shared}/users.db" query "{QUERY}" }}'
    words = 'require { tls auth } mechanisms "PLAIN" "SCRAM-SHA-256" "CRAM-MD5" }'
    text = server.USUAL.replace('auth { source "accounts" }', f"auth {{ {source} }}")
    text = text.replace("require { tls auth } }", words)
    return start(server.Pabal, text, certificate=certificate)


def proof(password, salt, count, message):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, count)
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    return bytes(a ^ b for a, b in zip(key, signature))


def scram(client, name, password):
    """SCRAM-SHA-256 (RFC 5802), the part of a client that wants in."""
    nonce = base64.b64encode(os.urandom(15)).decode()
    bare = f"n={name},r={nonce}"
    reply = client.command("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode())
    assert reply.code == 334
    first = base64.b64decode(reply.text).decode()
    fields = dict(field.split("=", 1) for field in first.split(","))
    final = f"c=biws,r={fields['r']}"
    sent = proof(password, base64.b64decode(fields["s"]), int(fields["i"]),
                 f"{bare},{first},{final}".encode())
    reply = client.command(base64.b64encode(
        f"{final},p={base64.b64encode(sent).decode()}".encode()))
    return client.command("") if reply.code == 334 else reply


def cram(client, name, password):
    challenge = base64.b64decode(client.command("AUTH CRAM-MD5").text)
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return client.command(base64.b64encode(f"{name} {digest}".encode()))


def plain(client, name, password):
    return client.auth_plain(name, password)


@pytest.mark.parametrize("way", [plain, scram, cram])
def test_the_account_is_who_the_source_says(pabal, way):
    for name, account, relays in (("kim", "kim", True), ("k", "kim", True), ("lee", "lee", False)):
        with pabal.client("submission") as client:
            client.ehlo()
            assert client.starttls().code == 220
            client.ehlo()
            assert way(client, f"{name}@example.kr", "wrong").code == 535
            reply = way(client, f"{name}@example.kr", "secret")
            assert reply.code == 235, f"{way.__name__} {name}: {reply}"
            pabal.await_event("auth", account=f"{account}@example.kr", code="235")
            assert (client.mail(f"{account}@example.kr").code == 250) == relays
