# SPDX-License-Identifier: ISC
"""What `pabal explain` and the private socket say is what a client is told: a
thousand cases through a real session and through a rehearsal, and the same code,
enhanced code and rule. A rehearsal leaves nothing behind."""

import json
import os
import random
import re
import socket
import subprocess

import pytest

from pabal import outside, peers, server, smtp

CONFIG = re.sub(r"(?m)^server .*\n", "", server.USUAL) + """\
clients {
  "198.51.100.0/24" relay
  "198.51.100.66" allow
  "203.0.113.0/24" relay
  "203.0.113.13" deny "go away"
  "203.0.113.14" deny
  "2001:db8:1::/48" relay
  "172.17.0.1" relay
}
rules "$folder/tcp.smtp"
relay-domains { "backup.test" }
aliases "$folder/aliases"
limits { connections-address 200 connections-network 200 }
route "refused.test" { refuse "we do not talk to them" }
route "*.smart.test" { smtp "mx.smart.test:2525" }
limit "everywhere" { errors 100000 messages 100000 }
limit "network 192.0.2.64/26" { message-size 20000 }
limit "network 203.0.113.0/24" { recipients 1 }
limit "account choi@example.kr" { local-size 3000 }
limit "account lee@example.kr" { message-size 5000 rate account messages 1 per day refuse }
server "mx" { listen "$listen_mx" listen "$listen6_mx" }
server "offer" { auth offer listen "$listen_offer" listen "$listen6_offer" }
server "secure" { require { tls } listen "$listen_secure" listen "$listen6_secure" }
server "submission" { require { tls auth }
  listen "$listen_submission" listen "$listen6_submission" }
server "submissions" { require { auth }
  listen "$listen_submissions" tls implicit listen "$listen6_submissions" tls implicit }
"""

RULES = """\
192.0.2.200:allow,RBLSMTPD="-listed"
192.0.2.201:allow,RBLSMTPD="listed for now"
192.0.2.202:allow,MAXRCPT="2",DATABYTES="3500"
192.0.2.203:allow,RELAYCLIENT="@fixed.test"
192.0.2.204:deny
:allow
"""
ALIASES = """\
staff: kim, lee
outside: kim@a.smart.test
loop: loop
"""

CLIENTS = ["192.0.2.7", "192.0.2.7", "192.0.2.200", "192.0.2.201", "192.0.2.202", "192.0.2.203",
           "192.0.2.204", "192.0.2.77", "198.51.100.9", "198.51.100.66", "203.0.113.5",
           "203.0.113.13", "203.0.113.14", "2001:db8::7", "2001:db8:1::9"]
SERVERS = ["mx", "mx", "offer", "offer", "secure", "submission", "submission", "submissions"]
ACCOUNTS = {"kim@example.kr": [], "lee@example.kr": ["--relay", "no"],
            "park@example.kr": [], "choi@example.kr": [], "full@example.kr": []}
# After they have logged in: rights are asked for at each MAIL.
LATER = {"park@example.kr": ["disable", "park@example.kr"],
         "choi@example.kr": ["set", "choi@example.kr", "--from", "198.51.100.0/24"]}
SENDERS = ["<>", "<a@elsewhere.test>", "<kim@example.kr>", "<lee@example.kr>", "<postmaster>",
           "<no domain>", "<a@b\u00fccher.example>"]
RECIPIENTS = [
    "<kim@example.kr>", "<KIM@Example.KR.>", "<nobody@example.kr>", "<postmaster>",
    "<postmaster@example.kr>", "<abuse@example.kr>", "<x@elsewhere.test>", "<x@a.smart.test>",
    "<x@refused.test>", "<x%elsewhere.test@example.kr>", '<"x@elsewhere.test"@example.kr>',
    "<elsewhere.test!x@example.kr>", "<@elsewhere.test:kim@example.kr>", "<x@[192.0.2.25]>",
    "<x@[127.0.0.1]>", "<postmaster@[127.0.0.1]>", "<kim@[IPv6:::1]>", "<x@localhost>", "<x>",
    "<>", "x@elsewhere.test", "<x@elsewhere.test", "<kim@example.kr> NOTIFY=NEVER",
    "<staff@example.kr>", "<outside@example.kr>", "<loop@example.kr>", "<kim+tag@example.kr>",
    "<full@example.kr>", "<choi@example.kr>", "<x@backup.test>", "<x@fixed.test>",
    "<kim@example.kr> FOO=BAR", "<kim@\uff45xample.kr>", "<x@\uff45lsewhere.test>"]
SIZES = ["", "", " SIZE=4000", " SIZE=10000", " SIZE=30000", " SIZE=99999999999", " SIZE=x"]

GROUPS, CASES = 70, 14  # a session each, transactions in it


@pytest.fixture(scope="module")
def running(tmp_path_factory, certificate):
    folder = tmp_path_factory.mktemp("explain")
    for path in (folder, folder.parent):
        path.chmod(0o755)
    with server.Pabal(folder, CONFIG, certificate=certificate, start=False) as one:
        (one.folder / "tcp.smtp").write_text(RULES)
        (one.folder / "aliases").write_text(ALIASES)
        one._give_folder()
        one.start()
        for name, rights in ACCOUNTS.items():
            one.account(name, "secret")
            if rights:
                one.run("account", "set", name, *rights)
        with one.client("mx") as client:
            assert client.ehlo().code == 250
            reply = client.deliver("a@b.test", "full@example.kr", smtp.text_message())
            assert reply.code == 250, reply
        one.wait_messages("full@example.kr")
        one.run("quota", "set", "full@example.kr", "--messages", "1")
        one.run("quota", "recount", "full@example.kr")
        yield one


# ---- a thousand cases

class Group:
    """One session and what is asked in it."""

    def __init__(self, rng):
        self.server = rng.choice(SERVERS)
        self.client = rng.choice(CLIENTS)
        self.tls = self.server == "submissions" or rng.random() < 0.6
        may_log_in = self.server not in ("mx", "secure") and self.tls
        self.account = rng.choice([None, *ACCOUNTS]) if may_log_in else None
        self.cases = [(rng.choice(SENDERS), rng.choice(SIZES), rng.choice(["", " SMTPUTF8"]),
                       [rng.choice(RECIPIENTS) for _ in range(rng.choice([1, 1, 2, 4]))])
                      for _ in range(CASES)]

    def listener(self, running):
        return running.listeners[f"6:{self.server}" if ":" in self.client else self.server]

    def script(self):
        for sender, size, utf8, recipients in self.cases:
            yield f"MAIL FROM:{sender}{size}{utf8}"
            for recipient in recipients:
                yield f"RCPT TO:{recipient}"
            yield "RSET"


def log_in(running, group):
    """The real session, as far as the commands, or its last word."""
    address, port = group.listener(running)
    try:
        client = smtp.Client(address, port, source=group.client,
                             implicit=group.server == "submissions")
    except smtp.Closed:
        return None
    if client.banner.code != 220:
        return client
    client.ehlo()
    if group.tls and group.server != "submissions":
        assert client.starttls().code == 220
        client.ehlo()
    if group.account:
        assert client.auth_plain(group.account, "secret").code == 235
    return client


def ask(client, lines):
    client.send("".join(line + "\r\n" for line in lines).encode())
    for line in lines:
        yield line, client.reply()


def enhanced(reply):
    return reply.enhanced if reply.enhanced[:1].isdigit() else ""  # a banner names the host


def real_answers(running, group, client):
    """(line, code, enhanced code, rule) of each reply; the rule of a refusal
    stands in the log."""
    if not client:
        refused = running.await_event("refuse", client=group.client)
        return [("", 0, "", refused["rule"])]
    port = client.socket.getsockname()[1]
    session = running.await_event("connect", client=group.client, port=port)["session"]
    rows = [("", client.banner)]
    if client.banner.code == 220:
        rows += ask(client, list(group.script()))
        client.quit()
    client.close()
    running.await_event("disconnect", session=session)
    rules = [event["rule"] for event in running.log.events("refuse", session=session)]
    found = [(line, reply.code, enhanced(reply), rules.pop(0) if reply.code >= 400 else None)
             for line, reply in rows]
    assert not rules
    return found


def rehearsed_answers(running, group):
    address, _ = group.listener(running)
    rows = []
    with outside.Outside(running, group.client, server=group.server, tls=group.tls, local=address,
                         account=group.account, explain=True) as client:
        def take(line, reply):
            seen = client.seen
            refused = seen["kind"] in ("refuse", "defer", "drop")
            if reply:
                assert (seen["code"], seen["status"]) == (reply.code, enhanced(reply)), (line, seen)
            rows.append((line, seen["code"], seen["status"], seen["rule"] if refused else None))

        take("", client.banner)
        if client.banner and client.banner.code == 220:
            client.ehlo()
            for line, reply in ask(client, list(group.script())):
                take(line, reply)
    return rows


def test_a_thousand_cases(running):
    rng = random.Random(4)
    groups = [Group(rng) for _ in range(GROUPS)]
    with running.session("lee@example.kr") as client:  # uses up the rate of the day
        assert client.deliver("lee@example.kr", "kim@example.kr",
                              smtp.text_message("lee@example.kr", "kim@example.kr")).code == 250
    clients = [log_in(running, group) for group in groups]
    for words in LATER.values():
        running.run("account", *words)
    compared = 0
    seen = set()
    for group, client in zip(groups, clients, strict=True):
        real = real_answers(running, group, client)
        mark = running.log.mark()
        rehearsed = rehearsed_answers(running, group)
        assert rehearsed == real, (group.client, group.server, group.tls, group.account)
        assert not [e for e in running.log.events(since=mark)
                    if e["event"] in ("connect", "refuse", "disconnect", "accept")
                    and e.get("client") == group.client]
        compared += sum(line.startswith("RCPT") for line, *_ in real)
        seen |= {rule for *_, rule in real}
    assert compared > 1000
    missing = {"client-denied", "require-tls", "require-auth", "max-message-size", "rate",
               "account-disabled", "account-from-networks", "relay-denied", "route-refused",
               "sender-not-yours", "null-sender", "mailbox-full", "max-local-size", "rbl-text",
               "unknown-recipient", "hidden-route", "literal-local", "max-recipients", "syntax",
               "sequence"} - seen
    assert not missing, sorted(map(str, seen))


# ---- the private socket

def test_nothing_is_carried_out(running):
    mark = running.log.mark()
    with outside.Outside(running, "198.51.100.9") as client:
        client.ehlo()
        for _ in range(2):
            assert client.mail("a@elsewhere.test").code == 250
            assert client.rcpt("x@elsewhere.test").code == 250
            for line in ("DATA", "STARTTLS", "AUTH PLAIN AGEAYQ==", "AUTH LOGIN", "BDAT 0 LAST"):
                assert client.command(line).code == 503, line
            client.command("RSET")
        assert client.command("BDAT 6 LAST\r\nQUIT").code == 503
        assert client.command("NOOP").code == 250
    assert not running.log.events("refuse", since=mark)
    assert not running.queue()


@pytest.mark.parametrize("octets", [
    b"", b"EHLO x\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n",
    outside.SIGNATURE + b"\x20\0\0\0",
    outside.header("192.0.2.7", tlvs=[(outside.ACCOUNT, b"kim@example.kr")]),
    outside.header("192.0.2.7", tlvs=[(outside.EXPLAIN, b""), (outside.ACCOUNT, b"")]),
    outside.header("192.0.2.7", tlvs=[(outside.EXPLAIN, b""), (outside.ACCOUNT, b"a\0b")]),
    outside.header("192.0.2.7", tlvs=[(outside.EXPLAIN, b""), (outside.ACCOUNT, b"x" * 400)]),
    outside.header("192.0.2.7", tlvs=[(outside.EXPLAIN, b"x")]),
    outside.header("192.0.2.7", tlvs=[(outside.TLS, b""), (outside.TLS, b"")]),
    outside.header("192.0.2.7", tlvs=[(outside.SERVER, b"nothing")]),
])
def test_a_header_that_is_not_understood(running, octets):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(running.folder / "run" / "smtpd-private"))
        s.sendall(octets)
        s.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: s.recv(65536), b""))
    assert said.startswith(b"501 5.5.4 ") if octets else said == b"", said


def test_header_in_pieces(running):
    octets = outside.header("2001:db8::7", tlvs=[(outside.EXPLAIN, b""), (outside.SERVER, b"offer")])
    client = smtp.Client(running.folder / "run" / "smtpd-private", banner=False)
    with client:
        client.send_split(octets + b"EHLO x\r\n", 7)
        assert client.reply().code == 220
        seen = json.loads(client._line())
        assert seen["facts"]["server"] == "offer" and seen["facts"]["client"] == "2001:db8::7"
        assert client.reply().code == 250


@pytest.mark.skipif(not peers.is_root(), reason="needs another user")
def test_only_administrators_ask(running):
    """The socket's mode keeps others away; where that was changed, the kernel's
    word about who they are does."""
    path = running.folder / "run" / "smtpd-private"
    assert path.stat().st_mode & 0o777 == 0o660
    program = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
               "try:\n s.connect(sys.argv[1]); print('connected', s.recv(100))\n"
               "except OSError as e: print(type(e).__name__)")
    other = ["setpriv", "--reuid=64999", "--regid=64999", "--clear-groups", "/usr/bin/python3",
             "-c", program, str(path)]
    try:
        said = subprocess.run(other, capture_output=True, text=True, timeout=20, cwd="/").stdout
        assert said.strip() == "PermissionError"
        path.chmod(0o666)
        said = subprocess.run(other, capture_output=True, text=True, timeout=20, cwd="/").stdout
        assert said.strip() in ("connected b''", "ConnectionResetError"), said
    finally:
        os.chmod(path, 0o660)


# ---- pabal explain

def explain(running, words, status):
    done = running.run("explain", *words.split(), check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_what_is_printed(running):
    said = explain(running, "--from-ip 192.0.2.7 --mail-from a@elsewhere.test "
                   "--rcpt kim@example.kr --rcpt x@example.com", 1)
    where = str(running.config)
    assert said.startswith('192.0.2.7 to server "mx" (port ')
    assert "in clear, not logged in" in said
    assert re.search(r"(?m)^connect   allow   220 mail.example.kr ESMTP$", said)
    assert re.search(r"(?m)^delivery  allow   Maildir$\s+/.*/mail/example.kr/kim/Maildir$", said), said
    flat = " ".join(said.split())
    assert "rcpt refuse 550 5.7.1 relay-denied: example.com is not a domain of this server" in flat
    assert f"- log in on port {running.port('submission')}" in flat
    assert f"- a rule for 192.0.2.7 with relay in clients {{ }} of {where}" in flat
    assert max(len(line) for line in said.splitlines() if where not in line and "/" not in line) <= 80


def test_the_rule_with_its_line(running):
    flat = " ".join(explain(running, "--from-ip 198.51.100.9 --mail-from a@b.test "
                            "--rcpt x@a.smart.test", 0).split())
    lines = running.config.read_text().splitlines()

    def line_of(text):
        return f"{running.config}:{next(n for n, row in enumerate(lines, 1) if text in row)}"

    assert f"rule: relay-client (clients {line_of('198.51.100.0/24')})" in flat
    assert f"route allow route {line_of('smart.test')}" in flat
    assert "delivery allow to mx.smart.test by SMTP, port 2525" in flat
    flat = " ".join(explain(running, "--from-ip 192.0.2.77 --mail-from a@b.test "
                            "--rcpt kim@example.kr --size 20001", 1).split())
    assert f"limit network 192.0.2.64/26 {line_of('192.0.2.64/26')}" in flat


def test_an_alias_and_its_ends(running):
    running.run("address", "add", "sales@example.kr", "kim@example.kr", "x@a.smart.test")
    report = json.loads(explain(running, "--from-ip 192.0.2.7 --mail-from a@b.test "
                                "--rcpt sales@example.kr --rcpt postmaster --json", 0))
    found = [(s["step"], s["recipient"], s.get("rule", ""), s["notes"][0] if s["notes"] else "")
             for s in report["steps"] if s["recipient"]]
    maildir = f"Maildir {running.maildir('kim@example.kr')}"
    assert found == [
        ("rcpt", "sales@example.kr", "local-recipient", ""),
        ("quota", "sales@example.kr", "", "there is room in what it leads to"),
        ("alias", "sales@example.kr", "alias", "sales@example.kr -> kim@example.kr, x@a.smart.test"),
        ("route", "sales@example.kr", "mailbox", "kim@example.kr: a mailbox of this machine"),
        ("delivery", "sales@example.kr", "", maildir),
        ("route", "sales@example.kr", "host", found[5][3]),
        ("delivery", "sales@example.kr", "", "to mx.smart.test by SMTP, port 2525"),
        ("rcpt", "postmaster", "postmaster", ""),
        ("route", "postmaster", "mailbox", "kim@example.kr: a mailbox of this machine"),
        ("delivery", "postmaster", "", maildir)]
    running.run("address", "remove", "sales@example.kr")


def test_rates_with_their_counts(running):
    """Lee has sent one message of one a day (test_a_thousand_cases)."""
    words = "--from-ip 192.0.2.7 --tls --auth lee --mail-from lee@example.kr --rcpt kim@example.kr"
    report = json.loads(explain(running, words + " --json", 1))
    step = report["steps"][-1]
    assert (step["step"], step["command"], step["rule"]) == ("rate", "mail", "rate")
    assert re.match(rf"limit account lee@example.kr {running.config}:\d+$", step["where"])
    running.run("limits", "reset", "account lee@example.kr messages day")
    said = explain(running, words, 0)
    assert "in force: rate account messages 1 per day" in " ".join(said.split())
    assert " 0 so far, from limit account lee@example.kr " in " ".join(said.split()), said


def test_exit_status_and_json(running):
    report = json.loads(explain(running, "--from-ip 2001:db8::7 --tls --auth kim --mail-from "
                                "kim@example.kr --rcpt x@example.com --json", 0))
    assert report["answer"] == "allow" and report["server"] == "submission"
    assert report["account"] == "kim@example.kr" and report["tls"] is True
    assert [s["step"] for s in report["steps"]] == [
        "connect", "hello", "auth", "mail", "size", "rate", "rcpt", "route", "delivery"]
    rcpt = report["steps"][6]
    assert (rcpt["answer"], rcpt["rule"], rcpt["code"]) == ("allow", "relay-account", 250)
    report = json.loads(explain(running, "--from-ip 2001:db8::7 --auth kim --mail-from "
                                "kim@example.kr --rcpt x@example.com --json", 1))
    assert [s["step"] for s in report["steps"]] == ["connect", "hello", "auth"]
    assert report["steps"][-1]["rule"] == "require-tls"
    explain(running, "--from-ip 192.0.2.7 --mail-from a@b.test", 64)
    explain(running, "--from-ip nobody --mail-from a@b.test --rcpt x@y.test", 64)
    explain(running, "--from-ip 192.0.2.7 --server nix --mail-from a@b.test --rcpt x@y.test", 64)
    explain(running, "--from-ip 203.0.113.13 --mail-from a@b.test --rcpt kim@example.kr", 1)
    assert "client-denied" in explain(
        running, "--from-ip 203.0.113.14 --mail-from a@b.test --rcpt kim@example.kr", 1)


# ---- pabal check --relay

def test_check_relay(running):
    done = running.run("check", "--relay", check=False)
    assert done.returncode == 1
    rows = done.stdout.splitlines()
    for client, rule in [("198.51.100.66", None), ("203.0.113.66", "203.0.113.0/24")]:
        found = [row for row in rows if f" from {client}, by clients {running.config}:" in row]
        assert bool(found) == bool(rule), (client, done.stdout)
        assert all(row.startswith("OPEN RELAY: server ") for row in found)
    assert [row for row in rows if re.match(
        rf'as 172\.17\.0\.1 \(trusted\) on server "mx": relays, by clients {running.config}:\d+$', row)]
    assert not [row for row in rows if "192.0.2.66" in row or "2001:db8::66" in row]
    assert not [row for row in rows if '"submission' in row], "never by address"
    assert re.match(r"open relay: \d+ questions, \d+ accepted$", rows[-1])
    running.write_config(re.sub(r'(?m)^  "(198|203|2001).*relay\n', "", CONFIG))
    assert running.reload().returncode == 0
    done = running.run("check", "--relay", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = re.search(r"no open relay: (\d+) questions, 0 accepted", done.stdout)
    assert asked and int(asked[1]) > 5000, done.stdout
    report = json.loads(running.run("check", "--relay", "--json").stdout)
    assert report["open_relay"] is False and report["accepted"] == 0
    assert sorted((r["client"], r["server"], r["outsider"]) for r in report["relays"]) == [
        (client, name, False) for client in ("172.17.0.1", "192.0.2.203")
        for name in ("mx", "offer", "secure")]
    assert not running.log.events("refuse", client="192.0.2.66")


def test_nobody_answers_when_it_is_stopped(running):
    running.stop()
    done = running.run("explain", "--from-ip", "192.0.2.7", "--mail-from", "a@b.test", "--rcpt",
                       "kim@example.kr", check=False)
    assert done.returncode == 69 and "not running" in done.stderr
    assert running.run("check", "--relay", check=False).returncode == 69
