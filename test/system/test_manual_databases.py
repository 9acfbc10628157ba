# SPDX-License-Identifier: ISC
"""The manual's examples of databases and directories let their users in, and nobody else: the text is
the manual's, but for addresses and passwords."""

import re
import shutil
import sqlite3

import pytest

from pabal import databases, peers, server

pytestmark = pytest.mark.skipif(not peers.have_peers(), reason="no peers unpacked (./dev test)")

CHAPTER = (peers.TREE / "doc/manual/authentication.md").read_text()

POSTGRESQL = """CREATE TABLE users (local text, domain text, password text, active boolean, may_relay boolean);

INSERT INTO users VALUES ('kim', 'example.kr', '{PLAIN}secret', true, false);

INSERT INTO users VALUES ('park', 'example.kr', '{PLAIN}secret', false, false);

CREATE ROLE pabal LOGIN PASSWORD 'pass word';

GRANT SELECT ON users TO pabal;

"""

MARIADB = """CREATE DATABASE postfix;
USE postfix;
CREATE TABLE mailbox (username varchar(255), password varchar(255), active tinyint(1));
INSERT INTO mailbox VALUES ('kim@example.kr', '{PLAIN}secret', 1);
INSERT INTO mailbox VALUES ('park@example.kr', '{PLAIN}secret', 0);
CREATE USER pabal IDENTIFIED BY 'pass word';
GRANT SELECT ON postfix.* TO pabal;
"""

PERSON = """dn: uid={0},ou=people,dc=example,dc=kr
objectClass: inetOrgPerson
uid: {0}
cn: {0}
sn: {0}
mail: {0}@example.kr
userPassword: {1}

"""
UNIT = "dn: ou={0},dc=example,dc=kr\nobjectClass: organizationalUnit\nou: {0}\n\n"
LDIF = ("dn: dc=example,dc=kr\nobjectClass: domain\ndc: example\n\n"
        + "".join(UNIT.format(name) for name in ("people", "groups", "services"))
        + "dn: cn=pabal,ou=services,dc=example,dc=kr\nobjectClass: person\ncn: pabal\nsn: pabal\n"
          "userPassword: pass word\n\n"
        + PERSON.format("kim", "secret") + PERSON.format("lee", "secret")
        + PERSON.format("park", "other")
        + "dn: cn=mail-users,ou=groups,dc=example,dc=kr\nobjectClass: groupOfNames\n"
          "cn: mail-users\nmember: uid=lee,ou=people,dc=example,dc=kr\n")
RULES = "access to attrs=userPassword by anonymous auth\naccess to * by users read"


def example(part):
    """The block of the manual that holds this text."""
    found = [block for block in re.findall(r"^```pabal\n(.*?)^```$", CHAPTER, re.M | re.S)
             if part in block]
    assert len(found) == 1, part
    return found[0]


def put(block, **values):
    """Other values for settings; without one the setting goes."""
    for name, value in values.items():
        pattern = rf"^ *{name.replace('_', '-')} .*\n"
        assert re.search(pattern, block, re.M), name
        block = re.sub(pattern, f"{name.replace('_', '-')} {value}\n" if value else "", block,
                       flags=re.M)
    return block


@pytest.fixture(scope="module")
def shared():
    with databases.folder_for("manual") as folder:
        (folder / "password").write_text("pass word\n")
        (folder / "password").chmod(0o600)
        yield folder


@pytest.fixture
def enter(start, certificate):
    """Starts a server with that block and tells how to log in to it."""
    def begin(block, name="pabal"):
        config = server.USUAL.replace('auth { source "accounts" }', block)
        pabal = start(server.Pabal, config, certificate=certificate, name=name)

        def login(name, password):
            with pabal.client("submission") as client:
                client.ehlo()
                client.starttls()
                client.ehlo()
                code = client.auth_plain(name, password).code
                if code != 235:
                    return code, None
                sender = name if "@" in name else f"{name}@example.kr"
                assert client.mail(sender).code == 250
                return code, client.command("RCPT TO:<you@elsewhere.example>").code == 250

        return login
    return begin


def check(login, relays=True):
    assert login("kim@example.kr", "secret") == (235, relays)
    assert login("kim@example.kr", "wrong")[0] == 535
    assert login("park@example.kr", "secret")[0] == 535, "disabled, or of another password"
    assert login("nobody@example.kr", "secret")[0] == 535
    assert login("kim@elsewhere.example", "secret")[0] == 535


@pytest.fixture
def password(shared):
    path = shared / "password"
    if peers.is_root():
        shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
    return f'"{path}"'


def test_sqlite(enter, shared):
    script = re.search(r"^```sql\n(.*?)^```$", CHAPTER, re.M | re.S).group(1)
    path = shared / "users.db"
    with sqlite3.connect(path) as db:
        db.executescript(script + """
            INSERT INTO users VALUES ('kim@example.kr', '{PLAIN}secret', 1);
            INSERT INTO users VALUES ('park@example.kr', '{PLAIN}secret', 0);""")
    path.chmod(0o644)
    check(enter(put(example('engine "sqlite"'), path=f'"{path}"')))


def test_postgresql(enter, shared, password):
    running = databases.PostgreSQL(shared, POSTGRESQL)
    try:
        block = put(example('engine "postgresql"'), host=f'"127.0.0.1"\nport {running.port}',
                    tls=None, database='"postgres"', password_file=password)
        check(enter(block), relays=False)
    finally:
        running.stop()


def test_postfixadmin(enter, shared, password):
    running = databases.MariaDB(shared, MARIADB)
    try:
        block = put(example("FROM mailbox"), password_file=password)
        block = block.replace('engine "mysql"',
                              f'engine "mysql"\nhost "127.0.0.1"\nport {running.port}')
        check(enter(block))
    finally:
        running.stop()


def test_ldap(enter, shared, password):
    running = databases.Slapd(shared, "dc=example,dc=kr", LDIF, RULES)
    try:
        block = put(example("ou=services"), uris=f'"{running.uri}"', password_file=password)
        login = enter(block)
        check(login, relays=False)
        assert login("lee@example.kr", "secret") == (235, True), "by the group"
        check(enter(put(example("bind-dn"), uris=f'"{running.uri}"'), "at-once"))
    finally:
        running.stop()
