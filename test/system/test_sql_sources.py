# SPDX-License-Identifier: ISC
"""Passwords in real databases: PostgreSQL and MariaDB."""

import subprocess

import pytest

from pabal import databases, peers, sources, tls

pytestmark = pytest.mark.skipif(not peers.have_peers(), reason="no peers unpacked (./dev test)")

# A name with a quote in it is a name as any other.
USERS = [
    ("kim@example.kr", "{PLAIN}secret", 1, 1, 1, ""),
    ("lee@example.kr", "{PLAIN}secret", 0, 1, 1, ""),
    ("park@example.kr", "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", 1, 1, 0,
     "park@other.kr"),
    ("o''neill@example.kr", "{PLAIN}secret", 1, 1, 1, ""),
    ("keys@example.kr", "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0$c3RvcmVk:c2VydmVy", 1, 1, 1, ""),
]
VALUES = ", ".join(f"('{u[0]}', '{u[1]}', {u[2]}, {u[3]}, {u[4]}, '{u[5]}')" for u in USERS)
TABLE = ("CREATE TABLE users (name varchar(200) PRIMARY KEY, password varchar(300), "
         "enabled int, submit int, relay int, account varchar(200))")
QUERY = "SELECT password, enabled, submit, relay, account FROM users WHERE name = :user"

INJECTIONS = ["' OR 1=1 --", "' OR '1'='1", "kim@example.kr' --", "kim@example.kr'; DROP TABLE users; --",
              "\\' OR 1=1 -- ", "%", "_im@example.kr", ":user", "$1", "?", "kim@example.kr\\"]

POSTGRESQL = f"""{TABLE};

INSERT INTO users VALUES {VALUES};

CREATE ROLE reader LOGIN PASSWORD 'pass word';

GRANT SELECT ON users TO reader;

"""

MARIADB = f"""CREATE DATABASE mail;
USE mail;
{TABLE};
INSERT INTO users VALUES {VALUES};
CREATE TABLE vpopmail (pw_name char(32), pw_domain char(96), pw_passwd char(128), pw_gid int,
  pw_clear_passwd char(128), PRIMARY KEY (pw_name, pw_domain));
INSERT INTO vpopmail VALUES ('kim', 'example.kr', '', 0, 'secret'),
  ('lee', 'example.kr', '', 2048, 'secret');
CREATE TABLE a_b_example_kr (pw_name char(32), pw_passwd char(128), pw_gid int,
  pw_clear_passwd char(128), PRIMARY KEY (pw_name));
INSERT INTO a_b_example_kr VALUES ('kim', '', 0, 'secret');
CREATE USER reader IDENTIFIED BY 'pass word';
GRANT SELECT ON mail.* TO reader;
"""


class Engine:
    """A server with the table in it, and the settings of a source that asks it."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.authority = tls.Authority(folder / "ca")
        # The name by which it is reached over TLS; 127.0.0.1 is not in it.
        certificate = self.authority.issue("localhost")
        if name == "postgresql":
            self.server = databases.PostgreSQL(folder, POSTGRESQL, certificate)
            self.database = "postgres"
        else:
            self.server = databases.MariaDB(folder, MARIADB, certificate)
            self.database = "mail"
        (folder / "password").write_text("pass word\nsecond line\n")

    def source(self, kind="sql", environment=None, **more):
        settings = {"engine": self.name, "host": self.server.address, "port": self.server.port,
                    "database": self.database, "login": "reader",
                    "password-file": self.folder / "password", "query": QUERY, "timeout": 20000}
        settings.update({key.replace("_", "-"): value for key, value in more.items()})
        return sources.Source(self.folder, kind, environment, **settings)


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def engine(request):
    with databases.folder_for(request.param) as folder:
        made = Engine(folder, request.param)
        with made.server:
            yield made


def test_verdicts(engine):
    with engine.source() as source:
        answer = source.check("kim@example.kr", "secret")
        assert (answer.verdict, answer.rights) == ("yes", {"submit", "relay"}), answer
        for password in ("Secret", "secret ", "", "{PLAIN}secret"):
            assert source.check("kim@example.kr", password).verdict == "no"
        answer = source.check("lee@example.kr", "secret")
        assert (answer.verdict, answer.reason) == ("no", "disabled")
        assert source.check("nobody@example.kr", "secret").verdict == "unknown"
        answer = source.check("park@example.kr", "secret")
        assert (answer.verdict, answer.account, answer.rights) == (
            "yes", "park@other.kr", {"submit"})
        assert source.check("o'neill@example.kr", "secret").verdict == "yes"
        assert source.look_up("kim@example.kr").clear == "secret"
        assert source.look_up("keys@example.kr").scram == USERS[-1][1]


def test_injection(engine):
    with engine.source() as source:
        for name in INJECTIONS:
            answer = source.check(name, "secret")
            assert answer.verdict == "unknown", (name, answer)
        assert source.check("kim@example.kr", "secret").verdict == "yes"


def test_every_parameter_is_bound(engine):
    cast = "::text" if engine.name == "postgresql" else ""
    joined = " || '|' || ".join(
        f":{name}{cast}" for name in ("user", "name", "domain", "client", "server"))
    if engine.name == "mysql":
        joined = f"concat({joined.replace('||', ',')})"
        query = f"SELECT concat('{{PLAIN}}', {joined}) AS password, ':user' AS account"
    else:
        query = f"SELECT '{{PLAIN}}' || {joined} AS password, ':user' AS account"
    with engine.source(query=query) as source:
        answer = source.check("kim@example.kr", "kim@example.kr|kim|example.kr|192.0.2.7|submission")
        assert (answer.verdict, answer.account) == ("yes", ":user"), answer


def test_faults_of_the_query(engine):
    for query, words in [
            ("SELECT password FROM users", "more than one row"),
            ("SELECT name FROM users WHERE name = :user", "no column named password"),
            ("SELECT password FROM nowhere WHERE name = :user", "nowhere"),
            ("DELETE FROM users WHERE name = :user", "denied")]:
        with engine.source(query=query) as source:
            answer = source.check("kim@example.kr", "secret")
            assert answer.verdict == "cannot" and words in answer.reason, answer
    with engine.source(query="SELECT :pass") as source:
        assert ":pass" in source.failure


def test_a_value_the_column_does_not_take(engine):
    """Whoever asks must not be able to make the source look broken."""
    if engine.name == "mysql":
        pytest.skip("MariaDB takes any text for a number")
    with engine.source(query="SELECT password FROM users WHERE length(name) = :name::int") as source:
        assert source.check("kim", "secret").verdict == "unknown"


def test_tls(engine):
    more = {"tls": "yes", "ca_file": engine.authority.cert}
    with engine.source(host="localhost", **more) as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "yes", answer
    with engine.source(host="127.0.0.1", **more) as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "cannot", answer
    other = tls.Authority(engine.folder / "other-ca") if not (engine.folder / "other-ca").exists() \
        else tls.Certificate(engine.folder / "other-ca", "ca")
    with engine.source(host="localhost", tls="yes", ca_file=other.cert) as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "cannot" and "certificate" in answer.reason.lower(), answer


def test_wrong_login(engine):
    with engine.source(login="nobody") as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "cannot" and "nobody" in answer.reason, answer


def test_files_and_environment_of_the_user_are_not_read(engine, tmp_path):
    """Each of these would send it to another server or another login."""
    (tmp_path / ".pgpass").write_text("*:*:*:*:wrong\n")
    (tmp_path / ".pgpass").chmod(0o600)
    (tmp_path / ".pg_service.conf").write_text("[other]\nport=1\n")
    (tmp_path / ".my.cnf").write_text("[client]\nport=1\npassword=wrong\nssl-verify-server-cert\n")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("no certificate\n")
    environment = {"HOME": str(tmp_path), "PGSERVICE": "other", "PGSSLMODE": "verify-full",
                   "PGHOSTADDR": "192.0.2.1", "PGOPTIONS": "-c search_path=nowhere",
                   "PGPASSWORD": "wrong", "PGREQUIREPEER": "nobody", "MYSQL_PWD": "wrong",
                   "MYSQL_TCP_PORT": "1", "MYSQL_HOST": "192.0.2.1"}
    with engine.source(environment=environment) as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "yes", answer


def test_many_at_once_share_the_connections(engine):
    with engine.source(connections=3) as source:
        waiting = [source.ask("kim@example.kr", "secret" if i % 2 else "wrong") for i in range(40)]
        assert [answer().verdict for answer in waiting] == ["no", "yes"] * 20


def test_restarted_server_costs_no_login(engine):
    with engine.source(connections=4) as source:
        for answer in [source.ask("kim@example.kr", "secret") for _ in range(8)]:
            assert answer().verdict == "yes"
        engine.server.restart()
        for answer in [source.ask("kim@example.kr", "secret") for _ in range(8)]:
            assert answer().verdict == "yes"


def test_dead_server_cannot_answer_and_comes_back(engine):
    with engine.source() as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        engine.server.stop()
        try:
            for name in ("kim@example.kr", "nobody@example.kr"):
                answer = source.check(name, "wrong")
                assert answer.verdict == "cannot" and answer.reason, answer
        finally:
            engine.server.start()
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        assert source.check("kim@example.kr", "wrong").verdict == "no"


def test_hanging_server_ends_in_time(engine):
    with engine.source(timeout=2000, connections=2) as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        engine.server.pause()
        try:
            # More than there are connections: those that wait for one end in time, too.
            waiting = [source.ask("kim@example.kr", "secret") for _ in range(4)]
            answers = [answer() for answer in waiting]
        finally:
            engine.server.resume()
        assert {a.verdict for a in answers} == {"cannot"}, answers
        assert max(a.ms for a in answers) < 10000, answers
    with engine.source() as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"


def test_vpopmail_tables(engine):
    if engine.name != "mysql":
        pytest.skip("vpopmail keeps its tables in MySQL")
    with engine.source(kind="vpopmail-sql", query="") as source:
        answer = source.check("kim@example.kr", "secret")
        assert (answer.verdict, answer.rights) == ("yes", {"submit", "relay"})
        assert source.check("kim@example.kr", "wrong").verdict == "no"
        assert source.check("lee@example.kr", "secret").verdict == "no"
        assert source.check("kim@other.kr", "secret").verdict == "unknown"
    with engine.source(kind="vpopmail-sql", query="", table_per_domain="yes") as source:
        assert source.check("kim@a-b.example.kr", "secret").verdict == "yes"
        assert source.check("kim@other.kr", "secret").verdict == "unknown"
        assert source.check("kim@users` -- ", "secret").verdict == "unknown"
