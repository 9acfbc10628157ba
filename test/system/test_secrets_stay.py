# SPDX-License-Identifier: ISC
"""What clients log in with is in no file of ours afterwards, right or wrong."""

import base64
import os
import sqlite3

from pabal import server

RIGHT, WRONG, OTHER = "canary-of-ours-7f3a", "canary-mistaken-91bc", "canary-elsewhere-55de"
TOKEN = "canary.token-0a1b2c"
QUERY = "SELECT password FROM users WHERE name = :user"


def found_in(folder, words, but):
    """Files below the folder that have one of the words, in clear or in base64."""
    looked_for = [word.encode() for word in words]
    looked_for += [base64.b64encode(b"\0kim@example.kr\0" + word)[24:-4] for word in looked_for]
    hits = []
    for at, _, names in os.walk(folder):
        for path in (os.path.join(at, name) for name in names):
            if path in but or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                octets = file.read()
            hits += [(path, word) for word in looked_for if word in octets]
    return hits


def test_no_file_has_them(start, certificate, folder):
    shared = folder / "users"
    shared.mkdir(mode=0o755)
    with sqlite3.connect(shared / "users.db") as users:
        users.execute("CREATE TABLE users (name TEXT, password TEXT)")
        users.execute("INSERT INTO users VALUES ('lee@example.kr', ?)", ["{PLAIN}" + OTHER])
    source = f'source "sql" {{ engine "sqlite" path "{shared}/users.db" query "{QUERY}" }}'
    text = server.USUAL.replace('auth { source "accounts" }',
                                f'auth {{ source "accounts" {source} }}')
    pabal = start(server.Pabal, text, certificate=certificate)
    pabal.account("kim@example.kr", RIGHT)
    with pabal.client("submission") as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        assert client.auth_plain("kim@example.kr", WRONG).code == 535
        assert client.auth_login("kim@example.kr", WRONG).code == 535
        assert client.auth_plain("lee@example.kr", WRONG).code == 535
        assert client.auth_plain(WRONG, "").code in (501, 535)
        client.command("AUTH XOAUTH2 " + base64.b64encode(
            f"user=kim@example.kr\1auth=Bearer {TOKEN}\1\1".encode()).decode())
    for name, password in (("kim", RIGHT), ("lee", OTHER)):
        with pabal.client("submission") as client:
            client.ehlo()
            client.starttls()
            client.ehlo()
            assert client.auth_plain(f"{name}@example.kr", password).code == 235
            assert client.mail(f"{name}@example.kr").code == 250
    pabal.await_event("auth", account="lee@example.kr", code="235")
    pabal.stop()
    words = [RIGHT, OTHER, TOKEN]
    assert found_in(folder, words, [str(shared / "users.db")]) == []
    assert [line for line in pabal.log.lines if any(word in line for word in words)] == []
    # A password typed as the name is in the log as what it was sent as; one sent as a password is not.
    assert [line for line in pabal.log.lines if WRONG in line and f'"account":"{WRONG}' not in line] == []
