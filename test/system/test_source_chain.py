# SPDX-License-Identifier: ISC
"""One chain of real sources of many kinds, each with its own user: the accounts, PAM, a
poppasswd file, a checkpassword program, SQLite, and a saslauthd that is dead."""

import contextlib
import re
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from test_local_sources import SECRET, UNIX, machine  # noqa: F401 (a fixture)
from test_sources import Source, login

from pabal import server, smtp, wait

pytestmark = pytest.mark.root  # pam_unix reads shadow

LIMIT = 2  # seconds; of the source that hangs
SKIP = 10  # seconds that it is not asked afterwards
# For what only must not hang; the machine may be slow.
BOUND = 15

PROGRAM = """\
#!/usr/bin/python3
# Knows jung, and never answers for hang.
import os, sys, time
name, password = os.read(3, 1024).split(b"\\0")[:2]
with open(sys.argv[1] + ".asked", "a") as log:
    print(name.decode(), os.getuid(), file=log)
name = name.decode().split("@")[0]
if name == "hang":
    time.sleep(600)
sys.exit(0 if (name, password) == ("jung", b"p3") else 1)
"""

# source -> who is there alone
USERS = {"accounts": ("lee", "p0"), "pam": ("kim", SECRET), "file": ("park", "p2"),
         "program": ("jung", "p3"), "sql": ("choi", "p4")}
# Not "nobody": the machine has a user of that name.
NOBODY = "stranger"
LIVING = " ".join(f'"{name}"' for name in USERS)
QUERY = "SELECT password FROM users WHERE name = :user"

CHAIN = f"""auth {{
source "accounts"
source "pam" {{ service "pabal-chain" cache 0 }}
source "poppasswd" {{ name "file" path "$shared/poppasswd" on-failure continue cache 0 }}
$program
source "sql" {{ engine "sqlite" path "$shared/users.db" query "{QUERY}" cache 0 }}
source "saslauthd" {{ name "dead" path "$shared/mux" timeout 2s cache 0 }}
}}
server "alive" {{ listen "$listen_alive" max-errors 100000 require {{ tls auth }} sources {LIVING} }}
server "all" {{ listen "$listen_all" require {{ tls auth }} sources {LIVING} "dead" }}
"""


def fill(folder):
    """The file, the table and the socket that nobody listens on any more."""
    path = folder / "poppasswd"
    path.write_text("park:{PLAIN}p2\nchoi:{PLAIN}old\nlee@example.kr:{PLAIN}old\n")
    path.chmod(0o600)
    with contextlib.closing(sqlite3.connect(folder / "users.db")) as db:
        db.execute("CREATE TABLE users (name text PRIMARY KEY, password text)")
        db.execute("INSERT INTO users VALUES ('choi@example.kr', '{PLAIN}p4')")
        db.commit()
    (folder / "users.db").chmod(0o644)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(folder / "mux"))
    (folder / "mux").chmod(0o666)


@pytest.fixture
def program(folder):
    shared = folder / "shared"
    shared.mkdir(mode=0o755)
    made = Source(shared, "program", "", more=f"timeout {LIMIT}s on-failure continue cache 0")
    made.path.write_text(PROGRAM)
    return made


@pytest.fixture
def pabal(start, certificate, machine, program):  # noqa: F811
    (machine / "pabal-chain").write_text(UNIX)
    fill(program.path.parent)
    config = server.USUAL.replace('auth { source "accounts" }', CHAIN)
    running = start(server.Pabal, config, certificate=certificate, as_root=True,
                    shared=program.path.parent, program=program.block)
    running.account("lee@example.kr", "p0")
    return running


def secured(pabal, where):
    client = pabal.client(where, timeout=60)
    client.ehlo()
    assert client.starttls().code == 220
    client.ehlo()
    return client


def timed(pabal, name, password, where="alive"):
    """The reply to AUTH, and how many seconds it took alone."""
    with secured(pabal, where) as client:
        began = time.monotonic()
        reply = client.auth_plain(name, password)
        return reply, time.monotonic() - began


def hangs(program):
    """How often the program was asked for the name that it hangs for."""
    return [name for name, _ in program.asked()].count("hang@example.kr")


def everybody_logs_in(pabal, where, but=()):
    for source, (name, password) in USERS.items():
        if source not in but:
            reply, seconds = timed(pabal, name, password, where)
            assert reply.code == 235, (source, reply)
            assert seconds < BOUND, source
            assert timed(pabal, name, "wrong", "alive")[0].code == 535, source


# ---- who is found where

def test_each_user_of_a_living_source_logs_in(pabal):
    for where in ("alive", "all"):
        everybody_logs_in(pabal, where)
    reply, seconds = timed(pabal, NOBODY, "x", "alive")
    assert (reply.code, reply.enhanced) == (535, "5.7.8") and seconds < BOUND
    # The dead one may know that name.
    reply, seconds = timed(pabal, NOBODY, "x", "all")
    assert (reply.code, reply.enhanced) == (454, "4.7.0") and seconds < BOUND
    pabal.await_event("auth", reason=re.compile('source "dead" cannot answer'))
    for source in ("accounts", "pam", "sql"):
        assert login(pabal, USERS[source][0], "x", "all").code == 535, "its no ends it before"
    assert not pabal.status("skipped-source"), "who refuses at once is not slow"


def test_a_migration(pabal):
    """`on-failure continue`: the old and the new password are both good while a user is in two
    places; without it the first place that knows the user decides."""
    for password, code in (("old", 235), ("p4", 235), ("neither", 535)):
        assert login(pabal, "choi", password, "alive").code == code, password
    for password, code in (("p0", 235), ("old", 535)):
        assert login(pabal, "lee", password, "alive").code == code, password


# ---- one of them hangs

def noops_until(done, client):
    """NOOP after NOOP; the seconds that the slowest took."""
    slowest = 0
    while True:
        last = done.is_set()
        began = time.monotonic()
        assert client.command("NOOP").code == 250
        slowest = max(slowest, time.monotonic() - began)
        if done.wait(0.05) and last:
            return slowest


@contextlib.contextmanager
def noops(pabal):
    """Another client is answered all the while."""
    done, found = threading.Event(), []
    with secured(pabal, "alive") as client:
        thread = threading.Thread(target=lambda: found.append(noops_until(done, client)))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(60)
    assert found and found[0] < 1, found


def test_a_hanging_source_costs_its_limit_once(pabal, program):
    with noops(pabal):
        reply, seconds = timed(pabal, "hang", "x")
        since = time.monotonic() - seconds + LIMIT  # not before that
        assert (reply.code, reply.enhanced) == (454, "4.7.0"), reply
        assert LIMIT - 0.1 < seconds < BOUND
        assert hangs(program) == 1

        def over():
            """A machine so slow that it may be asked again has nothing to show."""
            return time.monotonic() - since >= SKIP

        reply, seconds = timed(pabal, "hang", "x")
        assert reply.code == 454, "it alone could know"
        assert (hangs(program) == 1 and seconds < LIMIT) or over()
        [row] = pabal.status("skipped-source")
        assert row["source"] == "program" and 0 <= row["left_ms"] <= SKIP * 1000
        asked = len(program.asked())
        for name, password in (USERS["program"], (NOBODY, "x")):
            reply, seconds = timed(pabal, name, password)
            assert (reply.code == 454 and seconds < BOUND) or over(), (name, reply)
        for source in ("sql", "pam", "file", "accounts"):
            reply, seconds = timed(pabal, *USERS[source])
            assert reply.code == 235 and seconds < BOUND, source
        assert len(program.asked()) == asked or over()

        wait.until(lambda: login(pabal, *USERS["program"], "alive").code == 235, 60,
                   "it is asked again", every=0.5)
        assert time.monotonic() - since >= SKIP - 0.1
    assert not pabal.status("skipped-source")
    assert login(pabal, NOBODY, "x", "alive").code == 535
    pabal.await_event("auth", reason=re.compile('source "program" answers again'))


# ---- a program of the world

@pytest.mark.parametrize("kinds", [["pam"], ["accounts", "pam"]], ids="+".join)
def test_msmtp(start, certificate, ca, machine, kinds):  # noqa: F811
    (machine / "pabal-chain").write_text(UNIX)
    blocks = {"pam": 'source "pam" { service "pabal-chain" }', "accounts": 'source "accounts"'}
    pabal = start(server.Pabal, server.USUAL.replace(
        'auth { source "accounts" }', "auth {\n" + "\n".join(blocks[k] for k in kinds) + "\n}"),
        certificate=certificate, as_root=True)
    pabal.account("lee@example.kr", "p0")

    def send(user, password):
        return subprocess.run(
            ["msmtp", "--file=/dev/null", "--host=localhost", f"--port={pabal.port('submission')}",
             "--domain=client.example", f"--from={user}@example.kr", "--tls=on", "--tls-starttls=on",
             f"--tls-trust-file={ca.cert}", "--auth=plain", f"--user={user}",
             f"--passwordeval=echo {password}", "--", "lee@example.kr"],
            input=smtp.text_message(f"{user}@example.kr", subject=f"from {user}").decode().replace("\r\n", "\n"),
            text=True, capture_output=True, timeout=60)

    assert send("kim", "wrong").returncode == 77  # EX_NOPERM
    sent = [("kim", SECRET)] + [("lee", "p0")] * ("accounts" in kinds)
    for user, password in sent:
        done = send(user, password)
        assert done.returncode == 0, done.stderr
    if "accounts" not in kinds:
        assert send("lee", "p0").returncode == 77, "an account that no source knows"
    messages = pabal.wait_messages("lee@example.kr", len(sent), 60)
    assert len(messages) == len(sent)
