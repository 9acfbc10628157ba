# SPDX-License-Identifier: ISC
"""Submissions by users of a real PostgreSQL, MariaDB and OpenLDAP, each a source of one server."""

import shutil

import pytest

from pabal import databases, peers, server, wait

pytestmark = pytest.mark.skipif(not peers.have_peers(), reason="no peers unpacked (./dev test)")

TABLE = "CREATE TABLE users (name varchar(200) PRIMARY KEY, password varchar(300), relay int)"
QUERY = "SELECT password, 1 AS submit, relay FROM users WHERE name = :user"


def rows(user):
    return (f"INSERT INTO users VALUES ('{user}@example.kr', '{{PLAIN}}secret', 1), "
            f"('{user}-inside@example.kr', '{{PLAIN}}secret', 0)")


POSTGRESQL = f"""{TABLE};

{rows('kim')};

CREATE ROLE reader LOGIN PASSWORD 'pass word';

GRANT SELECT ON users TO reader;

"""

MARIADB = f"""CREATE DATABASE mail;
USE mail;
{TABLE};
{rows('lee')};
CREATE USER reader IDENTIFIED BY 'pass word';
GRANT SELECT ON mail.* TO reader;
"""

LDIF = """dn: dc=example,dc=kr
objectClass: domain
dc: example

dn: uid=park,dc=example,dc=kr
objectClass: inetOrgPerson
uid: park
cn: park
sn: park
mail: park@example.kr
userPassword: secret
"""

RULES = """access to attrs=userPassword by anonymous auth
access to * by anonymous read"""

SHORT = "timeout 2s cache 0"


class Databases:
    def __init__(self, folder):
        self.folder = folder
        self.servers = {
            "postgresql": databases.PostgreSQL(folder, POSTGRESQL),
            "mysql": databases.MariaDB(folder, MARIADB),
            "ldap": databases.Slapd(folder, "dc=example,dc=kr", LDIF, RULES)}
        self.password = folder / "password"
        self.password.write_text("pass word\n")
        self.password.chmod(0o600)

    def config(self, more=SHORT):
        blocks = [f'source "sql" {{ name "{name}" engine "{name}" host "127.0.0.1" '
                  f'port {self.servers[name].port} database "{database}" login "reader" '
                  f'password-file "{self.password}" query "{QUERY}" {more} }}'
                  for name, database in (("postgresql", "postgres"), ("mysql", "mail"))]
        blocks.append(f'source "ldap" {{ uris "{self.servers["ldap"].uri}" '
                      f'base "dc=example,dc=kr" filter "(mail=%u)" {more} }}')
        return server.USUAL.replace('auth { source "accounts" }',
                                    "auth {\n" + "\n".join(blocks) + "\n}")


@pytest.fixture(scope="module")
def several():
    with databases.folder_for("logins") as folder:
        made = Databases(folder)
        yield made
        for one in made.servers.values():
            one.stop()


def login(pabal, name, password):
    with pabal.client("submission") as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        return client.auth_plain(name, password)


USERS = {"postgresql": "kim@example.kr", "mysql": "lee@example.kr", "ldap": "park@example.kr"}


@pytest.fixture
def pabal(start, certificate, several):
    if peers.is_root():
        shutil.chown(several.password, server.PLAIN_USER, server.PLAIN_USER)
    return start(server.Pabal, several.config(), certificate=certificate)


def test_users_of_each(pabal):
    for name in USERS.values():
        assert login(pabal, name, "secret").code == 235, name
        assert login(pabal, name, "wrong").code == 535, name
    assert login(pabal, "nobody@example.kr", "secret").code == 535
    for name in ("' OR 1=1 --", "*)(uid=*", "kim@example.kr' --"):
        assert login(pabal, name, "secret").code == 535, name
    assert login(pabal, "park@example.kr", "").code in (501, 535)


def test_rights_of_a_row(pabal):
    for name, code in [("kim@example.kr", 250), ("kim-inside@example.kr", 550)]:
        with pabal.session(name, "secret") as client:
            assert client.mail(name).code == 250
            reply = client.rcpt("someone@elsewhere.test")
            assert reply.code // 100 == code // 100, (name, reply)


@pytest.mark.parametrize("which", list(USERS))
def test_dead_and_back(pabal, several, which):
    name, others = USERS[which], [USERS[key] for key in USERS if key != which]
    assert login(pabal, name, "secret").code == 235
    several.servers[which].stop()
    try:
        for password in ("secret", "wrong"):
            reply = login(pabal, name, password)
            assert (reply.code, reply.enhanced) == (454, "4.7.0"), reply
        for other in others:
            assert login(pabal, other, "secret").code == 235, other
    finally:
        several.servers[which].start()
    wait.until(lambda: login(pabal, name, "secret").code == 235, 30, "it is asked again", every=0.5)
    assert login(pabal, name, "wrong").code == 535


def test_a_hanging_one_holds_up_nobody_of_the_others(pabal, several):
    several.servers["postgresql"].pause()
    try:
        assert login(pabal, USERS["postgresql"], "secret").code == 454
        for which in ("mysql", "ldap"):
            assert login(pabal, USERS[which], "secret").code == 235
    finally:
        several.servers["postgresql"].resume()
    wait.until(lambda: login(pabal, USERS["postgresql"], "secret").code == 235, 30,
               "it is asked again", every=0.5)
