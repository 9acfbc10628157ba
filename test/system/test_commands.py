# SPDX-License-Identifier: ISC
"""The commands as people and scripts use them: what they print, what they
exit with, with the server running and stopped; and where the log goes."""

import fcntl
import grp
import json
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import termios
import unicodedata
from pathlib import Path

import pytest

from pabal import peers, plugin, server, smtp, wait

HELD = server.USUAL + "queue { hold yes }\n"


def configured(start, certificate, config=server.USUAL, **words):
    """A server that is not started."""
    return start(server.Pabal, config, certificate=certificate, start=False, **words)


def run(made, *words, **more):
    return made.run(*words, check=False, **more)


def rows(done):
    """Each line must be JSON."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.fixture(scope="module")
def shared(certificate):
    """One running server that takes mail and keeps it, for all tests that leave
    it as they found it."""
    with tempfile.TemporaryDirectory(prefix="commands.", dir=os.environ.get("PABAL_TEST_FOLDER"),
                                     ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with server.Pabal(folder, HELD, certificate=certificate) as running:
            running.account("kim@example.kr", "secret")
            yield running


# ---- check

BAD = [
    ('hostnam "x.example"', 1, "hostname"),
    ('  max-recipents 5', 3, "max-recipients"),
    ('max-recipients many', 16, "number"),
    ('server "x" { lisen "*:2525" }', 14, "listen"),
    ('queue { hold maybe }', 14, '"no", "yes"'),
    ('clients { "192.0.2.0/99" relay }', 11, ""),
    ('route "a.test" { smtp "" }', 23, ""),
    ('domains { "예.한국" "a..b" }', 0, "a..b"),
    ('"no word"', 1, ""),
    ('include "missing.conf"', 1, "missing.conf"),
]


@pytest.mark.parametrize("line,column,words", BAD, ids=[row[0].strip() for row in BAD])
def test_check_says_where_and_what(start, certificate, line, column, words):
    made = configured(start, certificate, server.USUAL + line + "\n")
    number = made.config.read_text().splitlines().index(line) + 1
    done = run(made, "check")
    assert done.returncode == 1 and done.stdout == ""
    at = f"{re.escape(str(made.config))}:{number}:{column or '[0-9]+'}: error: .*"
    assert re.search(at + re.escape(words), done.stderr), done.stderr


def test_check_says_all_at_once(start, certificate):
    lines = 'hostnam "x"\nmax-recipients 0\nqueue { lif 5d }\n'
    done = run(configured(start, certificate, server.USUAL + lines), "check")
    assert done.returncode == 1
    assert len(re.findall(r"pabal\.conf:\d+:\d+: error: ", done.stderr)) == 3, done.stderr


def test_check_warns_and_exits_0(start, certificate):
    made = configured(start, certificate,
                      server.USUAL.replace("tls {", "tls { min 1.0 "))
    made.account("kim@example.kr", "secret")
    done = run(made, "check")
    assert done.returncode == 0, done.stderr
    assert re.search(r"pabal\.conf:\d+:\d+: warning: ", done.stderr)
    assert "error" not in done.stderr and done.stdout.endswith(f"\n{made.config} is right\n")


def test_check_without_a_file(start, certificate):
    made = configured(start, certificate)
    made.config.unlink()
    done = run(made, "check")
    assert done.returncode == 1
    assert str(made.config) in done.stderr and "No such file" in done.stderr
    done = run(made, "status")
    assert done.returncode == 78 and "No such file" in done.stderr


def test_show_is_a_fixed_point(shared, start, certificate):
    def shown(made):
        done = run(made, "check", "--show")
        assert done.returncode == 0, done.stderr
        return done.stdout

    more = ('clients { "192.0.2.0/24" relay  "198.51.100.7" deny "not \\"you\\"" }\n'
            'route "*.far.test" { smtp "smart.test:587" user "u" password-file "secret" }\n'
            'route "near.test" { lmtp "/run/lmtp" }\n'
            'deliver { maildir "$folder/mail/한글/%d/%u" }\n'
            'limits { hops 7 header-size 300K }\n')
    without = re.sub("(?m)^deliver.*", "", server.USUAL)
    for config in (HELD, without + more):
        made = configured(start, certificate, config, name=f"n{len(config)}")
        secret = made.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("password\n")
        if peers.is_root():
            os.chown(secret, server.PLAIN_USER, server.PLAIN_USER)
        first = shown(made)
        made.write_config(first.replace("$", "$$"))
        assert shown(made) == first
    assert "hops 7" in first and "password\n" not in first


def test_check_wants_a_postmaster(start, certificate):
    made = configured(start, certificate)
    where = r"pabal\.conf:3:1: "
    done = run(made, "check")  # nobody has made an account yet
    assert done.returncode == 0
    assert re.search(where + "warning: .*`pabal account add kim@example.kr`", done.stderr)
    made.account("lee@example.kr", "secret")
    for _ in ("stopped", "running"):
        done = run(made, "check")
        assert done.returncode == 1 and done.stdout == ""
        assert re.search(where + "error: .*`pabal account add kim@example.kr`", done.stderr)
        if not made.process:
            made.start()
    made.account("kim@example.kr", "secret")
    assert run(made, "check").returncode == 0


RIGHTS = [
    ("tls/server.pem", 0o644, "holds a secret and can be read or changed by others: chmod 0600"),
    ("tls/server.pem", 0o660, "holds a secret and can be read or changed by others: chmod 0600"),
    ("pabal.conf", 0o666, "can be written by everybody: chmod o-w"),
]


@pytest.mark.parametrize("name,mode,words", RIGHTS, ids=lambda value: str(value)[:14])
def test_rights_that_check_refuses_the_server_refuses(start, certificate, name, mode, words):
    made = configured(start, certificate)
    path = made.folder / name
    path.chmod(mode)
    done = run(made, "check")
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and str(path) in done.stderr
    serve = run(made, "serve")
    assert serve.returncode == 78 and words in serve.stderr


def test_the_configuration_of_the_readme(start, certificate):
    text = (peers.TREE / "README.md").read_text()
    block = re.search(r"## A configuration\n+```\n(.*?)```", text, re.S).group(1)
    assert "/etc/pabal/tls/mail.pem" in block and "/var/mail/" in block
    config = (block.replace("/etc/pabal/tls/mail.pem", "$certificate")
              .replace("/var/mail/", "$folder/mail/")
              + 'state-folder "$folder/state"\nrun-folder "$folder/run"\n'
              + 'log { to stderr format json }\nresolver { servers "$dns" }\n')
    made = configured(start, certificate, config)
    made.account("kim", "secret")
    done = run(made, "check")
    assert (done.returncode, done.stderr) == (0, "")
    made.start()
    made.listeners = {"submission": ("127.0.0.1", 587)}
    with smtp.Client("::1", 25) as client:
        assert client.banner.code == 220
    with made.session() as client:
        client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message())
    made.wait_messages("kim@example.kr")


# ---- account

@pytest.fixture(params=["stopped", "running"])
def either(request, start, certificate):
    made = configured(start, certificate)
    if request.param == "running":
        made.start()
    yield made


def logs_in(made, user, password):
    with made.client("submission") as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        return client.auth_plain(user, password).code


def test_the_life_of_an_account(either):
    name = "kim@example.kr"
    done = run(either, "account", "list")
    assert done.returncode == 0 and "`pabal account add NAME@DOMAIN`" in done.stdout
    assert run(either, "account", "list", "--json").stdout == ""

    done = run(either, "account", "add", "Kim@EXAMPLE.kr", input="first\n")
    assert (done.returncode, done.stdout) == (0, f"account {name} made\n")
    done = run(either, "account", "add", "kim", input="other\n")
    assert done.returncode == 1 and f"`pabal account passwd {name}`" in done.stderr
    done = run(either, "account", "passwd", "kim", input="second\r\n")
    assert (done.returncode, done.stdout) == (0, f"password of {name} changed\n")
    assert run(either, "account", "disable", "kim").returncode == 0
    (row,) = rows(run(either, "account", "show", "kim", "--json"))
    assert row["name"] == name and row["enabled"] is False
    assert "disabled" in run(either, "account", "show", "kim").stdout

    was_running = bool(either.process)
    if not was_running:
        either.start()
    assert logs_in(either, name, "second") == 535
    assert run(either, "account", "enable", "kim").returncode == 0
    assert logs_in(either, name, "second") == 235
    assert logs_in(either, name, "first") == 535
    if not was_running:
        either.stop()

    done = run(either, "account", "remove", "kim")
    assert (done.returncode, done.stderr) == (0, "") and "removed" in done.stdout
    for action in ("remove", "show", "enable", "disable", "passwd"):
        done = run(either, "account", action, "kim", input="third\n")
        assert (done.returncode, done.stdout) == (1, ""), action
        assert done.stderr == f"pabal: there is no account {name}\n"
    # One who comes back does not have the old password.
    if was_running:
        assert logs_in(either, name, "second") == 535


NO_NAMES = ["", "@", "kim@", "@example.kr", "kim@elsewhere.test", "a b", "kim@[192.0.2.1]",
            "x" * 65 + "@example.kr", "kim@example.kr\n", "kim@exam ple.kr", "kim\x1b@example.kr",
            "kim@example.kr@example.kr", "y" * 5000]


def test_names_that_are_none(shared):
    for name in NO_NAMES:
        done = run(shared, "account", "add", name, input="secret\n")
        assert done.returncode == 1 and done.stdout == "", name
        assert "\x1b" not in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
    done = run(shared, "account", "add", "lee@elsewhere.test", input="secret\n")
    assert "elsewhere.test is not a domain of this server" in done.stderr
    assert [row["name"] for row in rows(run(shared, "account", "list", "--json"))] == [
        "kim@example.kr"]


def test_an_account_of_a_domain_that_is_gone_can_be_removed(start, certificate):
    made = configured(start, certificate,
                      server.USUAL.replace('"example.kr" }', '"example.kr" "old.test" }'))
    made.account("lee@old.test", "secret")
    made.write_config(server.USUAL)
    assert run(made, "account", "show", "lee@old.test").returncode == 0
    assert run(made, "account", "remove", "lee@old.test").returncode == 0
    assert run(made, "account", "list", "--json").stdout == ""


def test_a_password_is_no_argument(shared):
    for words in (["add", "lee@example.kr", "secret"], ["passwd", "kim@example.kr", "secret"],
                  ["add", "lee@example.kr", "--password", "secret"]):
        done = run(shared, "account", *words, input="")
        assert done.returncode == 64 and "usage: pabal account" in done.stderr, done.stderr
        assert "secret" not in done.stderr
    assert run(shared, "account", "show", "lee@example.kr").returncode == 1
    assert logs_in(shared, "kim@example.kr", "secret") == 235


NO_PASSWORDS = [("", "a password is needed"), ("\n", "a password is needed"),
                ("a\0b\n", "control characters"), ("a\tb\n", "control characters"),
                ("x" * 600 + "\n", "octets"), ("x" * 5000, "at most 1024 octets"),
                (b"\xff\xfe\n", "UTF-8")]


@pytest.mark.parametrize("given,words", NO_PASSWORDS, ids=[repr(row[0][:4]) for row in NO_PASSWORDS])
def test_passwords_that_are_none(shared, given, words):
    given = given if isinstance(given, bytes) else given.encode()
    for action, name in (("add", "lee@example.kr"), ("passwd", "kim@example.kr")):
        done = subprocess.run(shared.command("account", action, name, "-c", shared.config),
                              input=given, capture_output=True, env=shared.environ())
        assert done.returncode == 1 and words in done.stderr.decode(), done.stderr
    assert run(shared, "account", "show", "lee@example.kr").returncode == 1
    assert logs_in(shared, "kim@example.kr", "secret") == 235


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, made, *words):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            made.command(*words, "-c", made.config), stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, env=made.environ(), preexec_fn=self._at_home)
        self.slave, self.text = slave, b""

    @staticmethod
    def _at_home():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # what is started in the background, tests too, may have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def until(self, words):
        while words not in self.text:
            self.text += os.read(self.master, 4096)

    def type(self, words):
        os.write(self.master, words)

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def end(self):
        status = self.process.wait(20)
        os.set_blocking(self.master, False)
        try:
            self.text += os.read(self.master, 65536)
        except BlockingIOError:
            pass
        assert self.echoes(), "the terminal is left as it was"
        os.close(self.master)
        os.close(self.slave)
        return status


@pytest.mark.parametrize("again,status", [(b"topsecret\n", 0), (b"topsecre\n", 1), (b"\x03", -2),
                                          (b"\n", 1)], ids=["same", "other", "ctrl-c", "nothing"])
def test_a_password_at_the_terminal(shared, again, status):
    terminal = Terminal(shared, "account", "passwd", "kim")
    terminal.until(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"topsecret\n")
    terminal.until(b"Once more: ")
    assert not terminal.echoes()
    terminal.type(again)
    assert terminal.end() == status, terminal.text
    assert b"secre" not in terminal.text
    assert logs_in(shared, "kim@example.kr", "topsecret" if status == 0 else "secret") == 235
    run(shared, "account", "passwd", "kim", input="secret\n")


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "ko_KR.UTF-8"])
def test_tables_are_straight_in_hangul(start, certificate, locale):
    made = configured(start, certificate, environment={"LC_ALL": locale})
    for name in ("kim@example.kr", "김철수@example.kr", "이@example.kr", "ｗｉｄｅ@example.kr"):
        made.account(name, "secret")
    lines = run(made, "account", "list").stdout.splitlines()
    assert len(lines) == 5 and any(line.startswith("김철수@example.kr ") for line in lines)
    if locale == "C.UTF-8":
        columns = {width(line[:re.search("STATE|enabled", line).start()]) for line in lines}
        assert len(columns) == 1, lines


@pytest.mark.root
def test_what_root_makes_belongs_to_the_roles(start, certificate):
    made = configured(start, certificate, as_root=True)
    (made.folder / "state").rmdir()
    before = os.umask(0o077)  # as in root's shell
    try:
        made.account("kim@example.kr", "secret")
        assert run(made, "queue", "list").returncode == 0
        assert run(made, "check").returncode == 0
    finally:
        os.umask(before)
    for role in ("queue", "auth"):
        files = [made.folder / "state" / role, *(made.folder / "state" / role).rglob("*")]
        assert {path.owner() for path in files} == {f"pabal-{role}"}, role
    made.start()
    assert logs_in(made, "kim@example.kr", "secret") == 235


@pytest.mark.root
def test_who_may_ask(start, certificate):
    made = start(server.Pabal, certificate=certificate, as_root=True)

    def status(group):
        return subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={group}", server.BINARY,
             "status", "-c", made.config], capture_output=True, text=True, env=made.environ())

    done = status(65534)
    assert done.returncode == 1 and "cannot reach the server" in done.stderr
    assert "Permission denied" in done.stderr
    done = status(grp.getgrnam("pabal-admin").gr_gid)
    assert done.returncode == 0, done.stderr


# ---- queue

@pytest.fixture
def held(start, certificate):
    """Four recipients of three messages, none of which is tried."""
    made = start(server.Pabal, HELD, certificate=certificate)
    for name in ("kim", "lee"):
        made.account(f"{name}@example.kr", "secret")
    for user, recipients in (("kim", ["lee@example.kr", "far@one.test"]), ("kim", ["far@two.test"]),
                             ("lee", ["kim@example.kr"])):
        with made.session(f"{user}@example.kr") as client:
            reply = client.deliver(f"{user}@example.kr", recipients, smtp.text_message(
                f"{user}@example.kr", subject="\x1b]0;title\x07 한글 \u202e", extra="X-Long: a\r\n\tb\r\n"))
            assert reply.code == 250, reply
    return made


def selected(made, *words):
    return sorted(row["recipient"] for row in rows(run(made, "queue", "list", "--json", *words)))


ALL = ["far@one.test", "far@two.test", "kim@example.kr", "lee@example.kr"]
SELECTIONS = [
    (["--sender", "kim@example.kr"], ["far@one.test", "far@two.test", "lee@example.kr"]),
    (["--sender=lee@example.kr"], ["kim@example.kr"]),
    (["--recipient", "far@one.test"], ["far@one.test"]),
    (["--domain", "one.test"], ["far@one.test"]),
    (["--domain", "ONE.test."], ["far@one.test"]),
    (["--account", "lee@example.kr"], ["kim@example.kr"]),
    (["--sender", "kim@example.kr", "--domain", "two.test"], ["far@two.test"]),
    (["--state", "held"], ALL),
    (["--state", "due"], []),
    (["--state", "all"], ALL),
    (["--domain", "three.test"], []),
    ([], ALL),
]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_queue_list_by_selection(held, state):
    if state == "stopped":
        held.stop()
    for words, recipients in SELECTIONS:
        assert selected(held, *words) == recipients, words
    table = run(held, "queue", "list").stdout.splitlines()
    assert table[0].split()[0] == "MESSAGE" and len(table) == 5
    assert run(held, "queue", "list", "--domain", "three.test").stdout == "nothing waits\n"
    done = run(held, "queue", "list", "--limit", "3")
    assert len(done.stdout.splitlines()) == 4 and "--limit" in done.stderr
    for words in (["--state", "lost"], ["--domain", "a..b"], ["--limit", "0"], ["nonsense"]):
        done = run(held, "queue", "list", *words)
        assert done.returncode == 1 and done.stdout == "", words
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_queue_show(held):
    message = rows(run(held, "queue", "list", "--json", "--domain", "one.test"))[0]["message"]
    done = run(held, "queue", "show", message)
    assert done.returncode == 0
    text = done.stdout
    assert "lee@example.kr" in text and "far@one.test" in text and "held" in text
    assert "Received: from client.example" in text and "X-Long: a\n\tb\n" in text
    assert "Hello." not in text, "the body is nobody's business"
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text and "\r" not in text
    assert "한글" in text
    assert re.search(r"^received +20\d\d-\d\d-\d\dT", text, re.M)
    assert [row.get("kind") for row in rows(run(held, "queue", "show", message, "--json"))] == [
        None, None, "message"]
    for wrong, words in (("0cn2xkbv80400", "nothing in the queue has that id"), ("kim", "is no id")):
        done = run(held, "queue", "show", wrong)
        assert done.returncode == 1 and words in done.stderr and done.stdout == ""


def test_queue_changes_want_to_know_which(held):
    for action in ("retry", "hold", "release", "delete", "show"):
        done = run(held, "queue", action)
        assert done.returncode == 1 and "say which" in done.stderr and done.stdout == ""
        for words in (["--limit", "1"], ["--sender", ""], ["--domain", "", "--sender", "kim"],
                      ["--sender", b"\xff".decode(errors="surrogateescape"), "--all"]):
            done = run(held, "queue", action, *words)
            assert done.returncode == 1 and done.stdout == "", words
    for words in (["--all"], ["--state", "held"]):
        done = run(held, "queue", "delete", *words)
        assert done.returncode == 1 and "say which" in done.stderr and done.stdout == ""
    assert selected(held) == ALL


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_queue_hold_release_delete(held, state):
    if state == "stopped":
        held.stop()
    ids = {row["recipient"]: row["message"] for row in rows(run(held, "queue", "list", "--json"))}
    assert selected(held, "--state", "held") == ALL
    done = run(held, "queue", "hold", ids["far@two.test"])  # it is held already
    assert done.returncode == 1 and "that id and state" in done.stderr
    (row,) = rows(run(held, "queue", "delete", "--domain", "one.test", "--json"))
    assert row == {"count": 1}
    assert selected(held) == ["far@two.test", "kim@example.kr", "lee@example.kr"]
    assert run(held, "queue", "delete", ids["far@two.test"]).stdout == "recipients: 1\n"
    assert run(held, "queue", "delete", ids["far@two.test"]).returncode == 1
    assert run(held, "queue", "delete", "--domain", "one.test").stdout == "recipients: 0\n"
    assert run(held, "queue", "release", "--recipient", "kim@example.kr").returncode == 0
    assert run(held, "queue", "release", "--all").returncode == 0
    assert selected(held, "--state", "due") == ["kim@example.kr", "lee@example.kr"]
    assert run(held, "queue", "retry", "--all").stdout == "recipients: 2\n"
    assert run(held, "queue", "hold", "--all").stdout == "recipients: 2\n"
    assert selected(held, "--state", "held") == ["kim@example.kr", "lee@example.kr"]
    held.write_config(server.USUAL)
    if state == "stopped":
        held.start()
    else:
        assert run(held, "reload").returncode == 0
    assert run(held, "queue", "release", "--sender", "lee@example.kr").stdout == "recipients: 1\n"
    held.wait_messages("kim@example.kr")
    assert selected(held) == ["lee@example.kr"], "what an administrator held stays"


# ---- trace

def test_trace(shared):
    with shared.session() as client:
        reply = client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message())
        message = re.search(r"[0-9a-z]{13}", reply.text).group()
    with shared.client(source="192.0.2.55") as client:
        client.ehlo()
        client.mail("guest@away.test")
        assert client.rcpt("victim@far.test").code == 550
    refusal = shared.await_event("refuse", client="192.0.2.55")
    accepted = shared.await_event("accept", id=message)

    def story(*words):
        wait.until(lambda: run(shared, "trace", *words).returncode == 0, 10, "it is written down")
        found = rows(run(shared, "trace", *words, "--json"))
        assert found and all(row["time"] and row["event"] for row in found)
        return [row["event"] for row in found], run(shared, "trace", *words).stdout

    events, text = story(message)
    assert "accept" in events and f"id={message}" in text and "rule=" not in text
    for words in ("kim@example.kr", "kim", "KIM@example.kr"):
        assert "accept" in story(words)[0], words
    for words in ("192.0.2.55", refusal["session"], "guest@away.test", "victim@far.test"):
        events, text = story(words)
        assert "refuse" in events and f"rule={refusal['rule']}" in text, words
    assert "auth" in story(accepted["session"])[0]
    assert story("192.0.2.55", "--since", "1h")[0]
    assert run(shared, "trace", "192.0.2.55", "--since", "1ms").returncode == 1


def test_trace_of_nobody(shared):
    for words in ("nobody@example.kr", "0cn2xkbv80400", "198.51.100.99", "2001:db8::99", "nobody"):
        done = run(shared, "trace", words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"pabal: nothing is known of {words}\n"
    done = run(shared, "trace", "kim@example.kr", "--since", "soon")
    assert done.returncode == 1 and "a duration such as 2h" in done.stderr
    done = subprocess.run(shared.command("trace", b"\xff\xfe@x".decode(errors="surrogateescape"),
                                         "-c", shared.config), capture_output=True,
                          env=shared.environ())
    assert done.returncode == 1 and b"UTF-8" in done.stderr


# ---- status

def test_status(shared):
    done = run(shared, "status")
    assert done.returncode == 0 and done.stderr == ""
    for words in ("Pabal", "mail.example.kr", "serving", "Roles", "smtpd[1]", "Listeners",
                  f"127.0.0.1:{shared.port('mx')}", f"[::1]:{shared.port('6:mx')}", "Certificates",
                  "mail.example.kr, localhost", "`queue { hold yes }`", "disk:"):
        assert words in done.stdout, words
    assert "\x1b" not in done.stdout, "colour is for terminals"
    found = rows(run(shared, "status", "--json"))
    kinds = [row["kind"] for row in found]
    assert {"role", "listener", "certificate", "summary"} <= set(kinds) and kinds[-1] == "summary"
    assert found[-1]["master"]["ready"] is True and found[-1]["queue"]["hold"] is True


def test_status_when_nobody_runs(start, certificate):
    made = configured(start, certificate)
    for words in ([], ["--json"]):
        done = run(made, "status", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("pabal: the server is not running")
    for command in ("reload", "stop"):
        done = run(made, command)
        assert done.returncode == 69
        assert done.stderr.startswith("pabal: the server is not running")
    # The socket of one that was killed says no more.
    made.start()
    made.kill()
    assert "the server is not running" in run(made, "status").stderr


def test_a_role_that_does_not_answer(start, certificate):
    made = start(server.Pabal, certificate=certificate)
    (queue,) = made.pids("queue")
    os.kill(queue, signal.SIGKILL)
    try:
        done = run(made, "account", "list")  # answered by the next one, not by the files
        assert done.returncode in (0, 69), done.stderr
    finally:
        wait.until(lambda: [p for p in made.pids("queue") if p != queue], 20)


# ---- reload and stop

def test_reload_shows_what_was_found(start, certificate):
    made = start(server.Pabal, certificate=certificate)
    made.write_config(server.USUAL + 'hostnam "한글"\nmax-recipients 0\n' +
                      "".join(f'wrong-{n} "설정이 틀렸습니다"\n' for n in range(300)))
    done = run(made, "reload")
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len([line for line in lines if re.match(r".*pabal\.conf:\d+:\d+: error: ", line)]) == 302
    assert "hostname" in lines[0]
    assert lines[-1] == "pabal: the configuration has errors; the one before stays in force"
    assert "the configuration on disk is refused" in run(made, "status").stdout
    made.write_config(server.USUAL.replace("tls {", "tls { min 1.0 "))
    done = run(made, "reload")
    assert done.returncode == 0 and re.match(r"configuration generation \d+ is in force\n",
                                             done.stdout)
    assert ": warning: " in done.stderr


def test_stop_returns_when_it_has_stopped(start, certificate):
    made = start(server.Pabal, certificate=certificate)
    done = run(made, "stop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")
    assert made.process.wait(2) == 0
    assert run(made, "stop").returncode == 69
    made.process = None
    made.start()


# ---- usage

WRONG = [["bogus"], ["statuss"], ["status", "--nope"], ["status", "word"], ["check", "word"],
         ["check", "--show=yes"], ["reload", "now"], ["stop", "it"], ["serve", "twice"], ["queue"],
         ["queue", "eat"], ["queue", "list", "a", "b"], ["queue", "list", "--sender"],
         ["account"], ["account", "add"], ["account", "frob", "kim"], ["account", "show"],
         ["trace"], ["trace", "a", "b"], ["manual"], ["manual", "of style"],
         ["status", "-c"], ["status", *"abcdefghi"]]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_use(words):
    done = subprocess.run([server.BINARY, *words], capture_output=True, text=True)
    assert done.returncode == 64 and done.stdout == ""
    if words[0] in ("bogus", "statuss"):
        assert f'there is no command "{words[0]}"' in done.stderr
        assert ("did you mean" in done.stderr) == (words[0] == "statuss")
    else:
        assert re.search(rf"^usage: pabal {words[0]}", done.stderr, re.M), done.stderr


def test_help():
    def said(*words):
        return subprocess.run([server.BINARY, *words], capture_output=True, text=True, check=True)

    text = said("help").stdout
    assert said("--help").stdout == said("-h").stdout == text
    assert len(text.splitlines()) < 24 and max(map(len, text.splitlines())) <= 100
    names = re.findall(r"^  pabal (\w+) ", text, re.M)
    assert {"serve", "check", "status", "account", "queue", "trace"} <= set(names)
    for name in names:
        one = said("help", name).stdout
        assert said(name, "--help").stdout == one and f"usage: pabal {name}" in one
    assert re.fullmatch(r"pabal \d+\.\d+\.\d+\n", said("--version").stdout)
    done = subprocess.run([server.BINARY], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "") and done.stderr == text


def test_a_reader_that_leaves(shared):
    done = subprocess.run(["sh", "-c", '"$@" | head -n 1', "sh", *shared.command(
        "status", "-c", shared.config)], capture_output=True, text=True, env=shared.environ())
    assert done.stdout.startswith("Pabal") and done.stderr == ""


# ---- where the log goes

KEY_VALUE = re.compile(r'20\S+Z (debug|info|warning|error) \S+ \w+( [a-z0-9_]+=("([^"\\]|\\.)*"|[^\s"]+))*')


@pytest.mark.parametrize("kind", ["key-value", "json"])
def test_a_log_file_and_its_rotation(start, certificate, kind):
    config = server.USUAL.replace("log { to stderr format json level debug }",
                                  f'log {{ to file "$folder/run/log" format {kind} }}')
    made = start(server.Pabal, config, certificate=certificate)
    log = made.folder / "run" / "log"
    assert log.stat().st_mode & 0o777 == 0o640

    def visit():
        with made.client() as client:
            client.ehlo("강.example \x7f\"quoted\" =x")
            client.command("QUIT")
            return str(client.socket.getsockname()[1])

    def told(path, port):
        return wait.until(lambda: re.search(rf'\bport"?[=:]"?{port}\b', path.read_text()), 10,
                          f"the visit from port {port} is in {path.name}")

    told(log, visit())
    old = log.with_suffix(".1")
    log.rename(old)
    told(old, visit())  # until it is told
    assert run(made, "reload").returncode == 0
    size = old.stat().st_size
    for _ in range(4):  # both workers
        told(log, visit())
    assert old.stat().st_size == size
    for line in (old.read_text() + log.read_text()).splitlines():
        if kind == "json":
            assert {"time", "level", "process", "event"} <= json.loads(line).keys()
        else:
            assert KEY_VALUE.fullmatch(line), line


def test_a_log_file_that_cannot_be(start, certificate):
    config = server.USUAL.replace("to stderr", 'to file "$folder/missing/log"')
    made = configured(start, certificate, config)
    done = run(made, "serve")
    assert done.returncode == 78 and "cannot open the log" in done.stderr
    made.write_config(server.USUAL)
    made.start()
    made.write_config(config)
    done = run(made, "reload")
    assert done.returncode == 1 and "cannot open the log" in done.stderr
    assert made.client().ehlo().code == 250
    made.await_event("connect")


@pytest.fixture
def own_dev(folder):
    """A /dev with a place for a socket, in the mounts that the tests have for
    themselves."""
    new = folder / "dev"
    new.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", new], check=True)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (new / name).touch()
        subprocess.run(["mount", "--bind", f"/dev/{name}", new / name], check=True)
    subprocess.run(["mount", "--rbind", new, "/dev"], check=True)
    yield
    subprocess.run(["umount", "-l", "/dev"], check=True)
    subprocess.run(["umount", "-R", "-l", new], check=True)


@pytest.mark.root
def test_syslog(start, certificate, own_dev):
    config = server.USUAL.replace("log { to stderr format json level debug }",
                                  "log { to syslog format key-value }")
    made = configured(start, certificate, config)
    done = run(made, "serve")
    assert done.returncode == 78 and "cannot reach the system log at /dev/log" in done.stderr
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        syslog.settimeout(10)
        made.start()
        with made.client(source="192.0.2.56") as client:
            client.ehlo()
            client.mail("guest@away.test")
            client.rcpt("victim@far.test")
        text = ""
        while " refuse " not in text:
            text = syslog.recv(65536).decode()
            assert re.match(r"<(1[6-9]|2[0-3])>pabal\[\d+\]: ", text), text
            assert "\n" not in text
        assert text.startswith("<22>") and "client=192.0.2.56" in text
    os.unlink("/dev/log")  # as its daemon does when it is started again
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        syslog.setblocking(False)

        def is_heard_again():
            with made.client(source="192.0.2.57") as client:
                client.ehlo()
                client.mail("guest@away.test")
                client.rcpt("victim@far.test")
            try:
                while "client=192.0.2.57" not in syslog.recv(65536).decode():
                    pass
            except BlockingIOError:
                return False
            return True

        wait.until(is_heard_again, 20, "smtpd, which sees no /dev/log, writes to the new one")
        made.stop()


# ---- manual pages

def test_manual_pages():
    for tool in ("scdoc", "mandoc"):
        if not subprocess.run(["which", tool], capture_output=True).stdout:
            plugin.missing(f"{tool} is not installed")
    settings = subprocess.run([server.BINARY, "manual", "settings"], capture_output=True, check=True)
    for name, source in (("pabal(8)", (peers.TREE / "doc/man/pabal.8.scd").read_bytes()),
                         ("pabal.conf(5)", settings.stdout)):
        page = subprocess.run(["scdoc"], input=source, capture_output=True)
        assert page.returncode == 0, (name, page.stderr)
        text = page.stdout.decode()
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "error"], input=text,
                              capture_output=True, text=True)
        assert lint.stdout + lint.stderr == "", name
        shown = subprocess.run(["mandoc", "-T", "utf8"], input=text, capture_output=True,
                               text=True, check=True)
        plain = re.sub(".\x08", "", shown.stdout)  # as printed twice, for bold
        assert "\nNAME\n" in plain and name.partition("(")[0] in plain
    for command in re.findall(r"^  pabal (\w+) ", subprocess.run(
            [server.BINARY, "help"], capture_output=True, text=True).stdout, re.M):
        assert f"*pabal {command}" in (peers.TREE / "doc/man/pabal.8.scd").read_text()
