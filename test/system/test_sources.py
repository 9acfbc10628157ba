# SPDX-License-Identifier: ISC
"""Password sources in a chain, and the roles that ask them. Programs with the
interface of checkpassword stand for sources of every temper."""

import os
import pwd
import re
from pathlib import Path

import pytest

from pabal import server, wait

PROGRAM = """\
#!/usr/bin/python3
# USER PASSWORD: knows that one user. "hang": never answers. "dead": cannot.
import os, sys, time
name, password = os.read(3, 1024).split(b"\\0")[:2]
with open(sys.argv[1] + ".asked", "a") as log:
    print(name.decode(), os.getuid(), file=log)
if sys.argv[2] == "hang":
    time.sleep(600)
if sys.argv[2] == "dead":
    sys.exit(111)
if name.decode().split("@")[0] != sys.argv[2]:
    sys.exit(3)
sys.exit(0 if password.decode() == sys.argv[3] else 1)
"""


class Source:
    """A block of the configuration and the program it runs."""

    def __init__(self, folder, name, user, password="", more=""):
        self.path = Path(folder) / f"{name}-source"
        self.log = Path(f"{self.path}.asked")
        self.path.write_text(PROGRAM)
        self.path.chmod(0o755)
        self.log.touch()
        self.log.chmod(0o666)
        self.block = (f'source "checkpassword" {{ name "{name}" command "{self.path}" '
                      f'"{self.path}" "{user}" "{password}" {more} }}')

    def asked(self):
        """(name, uid) of each check; it is asked for the bare name, too, which is left out."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [line for line in lines if "@" in line[0]]


@pytest.fixture
def shared(folder):
    """A folder that the server may read programs from, whoever it is."""
    programs = folder / "programs"
    programs.mkdir(mode=0o755)
    return programs


def usual(*sources, server_words=""):
    text = server.USUAL.replace('auth { source "accounts" }', "auth {\n" + "\n".join(sources) + "\n}")
    return text.replace("require { tls auth } }", f"require {{ tls auth }} {server_words} }}")


def login(pabal, name, password, where="submission"):
    with pabal.client(where) as client:
        client.ehlo()
        assert client.starttls().code == 220
        client.ehlo()
        return client.auth_plain(name, password)


NAME = "kim@example.kr"


def lets_in(pabal, name, password, where="submission"):
    since = pabal.log.mark()
    reply = login(pabal, name, password, where)
    assert reply.code == 235, [e.get("reason") for e in pabal.log.events("auth", since)]


# ---- what they add up to

def test_each_user_is_found_where_it_is(start, certificate, shared):
    """Five sources, each with its own user; one of them hangs and one is dead."""
    hanging = Source(shared, "hanging", "hang", more="timeout 1s on-failure continue")
    dead = Source(shared, "dead", "dead")
    first = Source(shared, "first", "park", "p1", "on-failure continue")
    last = Source(shared, "last", "choi", "p2")
    pabal = start(server.Pabal, usual('source "accounts"', first.block, hanging.block, dead.block,
                                      last.block), certificate=certificate)
    pabal.account(NAME, "secret")
    lets_in(pabal, "kim", "secret")
    lets_in(pabal, "park", "p1")
    assert hanging.asked() == [] == dead.asked(), "who is found is not asked for elsewhere"
    lets_in(pabal, "choi@example.kr", "p2")
    assert len(hanging.asked()) == len(dead.asked()) == 1
    assert login(pabal, "kim", "wrong").code == 535, "our own no ends it"
    for name in ("choi", "nobody"):
        reply = login(pabal, name, "wrong")
        assert reply.code == 454 and reply.enhanced == "4.7.0", "one of them may know better"
    pabal.await_event("auth", account="choi@example.kr", code="235")
    for name in ("hanging", "dead"):
        pabal.await_event("auth", reason=re.compile(f'source "{name}" cannot answer'))


def test_a_slow_source_holds_nobody_up(start, certificate, shared):
    """While one hangs for its whole minute, others log in."""
    hanging = Source(shared, "hanging", "hang", more="timeout 60s connections 1")
    other = Source(shared, "other", "park", "p1")
    config = usual('source "accounts"', other.block, hanging.block) + (
        'server "slow" { listen "$listen_slow" require { tls auth } sources "hanging" }\n'
        'server "other" { listen "$listen_other" require { tls auth } sources "other" }\n')
    pabal = start(server.Pabal, config, certificate=certificate)
    pabal.account(NAME, "secret")
    with pabal.client("slow") as waiting:
        waiting.ehlo()
        waiting.starttls()
        waiting.ehlo()
        waiting.send(b"AUTH PLAIN AGtpbQBzZWNyZXQ=\r\n")
        wait.until(hanging.asked, 20, "the slow one is asked")
        lets_in(pabal, "kim", "secret")
        lets_in(pabal, "park", "p1", "other")


def test_a_success_is_remembered(start, certificate, shared):
    source = Source(shared, "one", "park", "p1", "cache 1h")
    forgetful = Source(shared, "two", "lee", "p2", "cache 0 on-failure continue")
    pabal = start(server.Pabal, usual(forgetful.block, source.block), certificate=certificate)
    for _ in range(3):
        lets_in(pabal, "park", "p1")
    assert len(source.asked()) == 1
    for _ in range(3):
        lets_in(pabal, "lee", "p2")
    assert len(forgetful.asked()) == 4
    assert login(pabal, "park", "p2").code == 535
    assert len(source.asked()) == 2


# ---- rights

def may_relay(pabal, name, password):
    with pabal.session(name, password) as client:
        assert client.mail("park@example.kr").code == 250
        return client.rcpt("lee@elsewhere.test").code == 250


def test_who_has_no_account_here_may_submit_and_relay(start, certificate, shared):
    source = Source(shared, "one", "park", "p1", "on-failure continue")
    pabal = start(server.Pabal, usual(source.block, 'source "accounts"'), certificate=certificate)
    assert may_relay(pabal, "park", "p1")
    # With an account of ours, that is what counts.
    pabal.account("park@example.kr", "other")
    pabal.run("account", "disable", "park@example.kr")
    assert login(pabal, "park", "p1").code == 535
    pabal.run("account", "enable", "park@example.kr")
    assert may_relay(pabal, "park", "p1")


# ---- roles

def test_roles_come_and_go_with_the_configuration(start, certificate, shared):
    source = Source(shared, "one", "park", "p1")
    without, with_it = usual('source "accounts"'), usual('source "accounts"', source.block)
    pabal = start(server.Pabal, without, certificate=certificate)
    assert pabal.pids("checker") == pabal.pids("source") == []
    assert login(pabal, "park", "p1").code == 535
    for _ in range(2):
        pabal.write_config(with_it)
        assert pabal.reload().returncode == 0
        assert len(pabal.pids("checker")) == 1 and pabal.pids("source") == []
        lets_in(pabal, "park", "p1")
        pabal.write_config(without)
        assert pabal.reload().returncode == 0
        wait.until(lambda: not pabal.pids("checker"), 20, "nobody needs it")
        assert login(pabal, "park", "p1").code == 535
    assert not [row for row in pabal.status("role") if row["state"] == "down"]


def test_a_role_that_dies_is_there_again(start, certificate, shared):
    source = Source(shared, "one", "park", "p1", "cache 0")
    pabal = start(server.Pabal, usual(source.block), certificate=certificate)
    lets_in(pabal, "park", "p1")
    old = pabal.signal_role("checker")
    wait.until(lambda: pabal.pids("checker") not in ([], old), 20, "checker is there again")
    wait.until(lambda: login(pabal, "park", "p1").code == 235, 20, "and answers")


def test_a_check_ends_with_its_role(start, certificate, shared):
    hanging = Source(shared, "hanging", "hang", more="timeout 1s")
    pabal = start(server.Pabal, usual(hanging.block), certificate=certificate)
    reply = login(pabal, "park", "p1")
    assert reply.code == 454
    wait.until(lambda: not any("hanging-source" in title for title in pabal.family().values()), 20,
               "the program is ended")


# ---- rights of the roles themselves

def status_of(pid):
    return dict(line.split(":\t", 1) for line in
                Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


@pytest.mark.root
def test_checks_run_as_their_user_without_a_network(start, certificate, shared):
    as_mail = Source(shared, "mail", "park", "p1", 'user "pabal-mail" on-failure continue')
    hanging = Source(shared, "hanging", "hang", more='user "pabal-mail" timeout 60s')
    config = usual(as_mail.block, hanging.block) + (
        'server "slow" { listen "$listen_slow" require { tls auth } sources "hanging" }\n')
    pabal = start(server.Pabal, config, certificate=certificate, as_root=True)
    lets_in(pabal, "park", "p1")
    uid = pwd.getpwnam("pabal-mail").pw_uid
    assert as_mail.asked() == [["park@example.kr", str(uid)]]

    checker, = pabal.pids("checker")
    rights = status_of(checker)
    kept = int(rights["CapEff"], 16)
    assert rights["Uid"].split() == ["0"] * 4
    assert kept == int(rights["CapBnd"], 16) == int(rights["CapPrm"], 16)
    for number, name in ((12, "NET_ADMIN"), (13, "NET_RAW"), (16, "SYS_MODULE"),
                         (18, "SYS_CHROOT"), (19, "SYS_PTRACE"), (21, "SYS_ADMIN")):
        assert not kept >> number & 1, name
    with pabal.client("slow") as waiting:
        waiting.ehlo()
        waiting.starttls()
        waiting.ehlo()
        waiting.send(b"AUTH PLAIN AGtpbQBzZWNyZXQ=\r\n")
        program = wait.until(lambda: [pid for pid, title in pabal.family().items()
                                      if "hanging-source" in title], 20, "it hangs")[0]
        own = os.readlink("/proc/self/ns/net")
        assert os.readlink(f"/proc/{program}/ns/net") != own, "no network"
        assert status_of(program)["Uid"].split() == [str(uid)] * 4
        assert int(status_of(program)["CapEff"], 16) == 0
        network = Path(f"/proc/{program}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in network] == ["lo"]
