# SPDX-License-Identifier: ISC
"""Tables in force: client rules, lists of domains and names are followed while the server runs,
without a restart and without touching whoever is connected."""

import os
import re
import subprocess
import threading
import time

import pytest

from pabal import peers, plugin, server, smtp, wait

TABLES = """
rules "$folder/tables/roaming.cdb" "$folder/tables/tcp.smtp"
domains { "example.kr" }
domains from "$folder/tables/rcpthosts"
limits { connections-address 500 connections-network 500 }
max-errors 1000
"""
RULES = """\
203.0.113.100:allow,RELAYCLIENT=""
203.0.113.101:allow,RELAYCLIENT="@fixme.example"
203.0.113.102:allow,RELAYCLIENT="",DATABYTES="2000",MAXRCPT="2"
203.0.113.103:allow,RBLSMTPD="listed, see http://rbl.example/103"
203.0.113.104:allow,RBLSMTPD="-go away"
203.0.113.105:deny
=good.test:allow,RELAYCLIENT=""
=.bad.test:deny
"""
ZONES = {
    "good.test": "@ A 203.0.113.120\n@ AAAA 2001:db8:113::120",
    "bad.test": "dialup A 203.0.113.122",
    "liar.test": "@ A 192.0.2.1",
    "113.0.203.in-addr.arpa":
        "120 PTR liar.test.\n120 PTR good.test.\n121 PTR good.test.\n122 PTR dialup.bad.test.",
    "3.1.1.0.8.b.d.0.1.0.0.2.ip6.arpa": "0.2.1" + ".0" * 17 + " PTR good.test.",
}
SECOND = 5.0  # a change is in force after one; other tests are busy beside this one


class Tables:
    def __init__(self, folder):
        self.folder = folder / "tables"
        self.folder.mkdir(parents=True)
        self.compile("roaming.cdb", "")
        self.put("tcp.smtp", RULES)
        self.put("rcpthosts", "listed.example\n")

    def put(self, name, text):
        """By a rename, as editors do."""
        new = self.folder / (name + ".new")
        new.write_text(text)
        new.rename(self.folder / name)

    def compile(self, name, text):
        """With the real tcprules, which renames, too."""
        subprocess.run([peers.PEERS / "root/usr/bin/tcprules", self.folder / name,
                        self.folder / (name + ".tmp")], input=text, text=True, check=True)


@pytest.fixture
def tables(folder):
    if not peers.have_peers():
        plugin.missing("the peers are not unpacked: ./dev test does it")
    (folder / "pabal").mkdir(mode=0o755)
    return Tables(folder / "pabal")


@pytest.fixture
def running(tables, start, certificate):
    knot = start(peers.Knot, ZONES)
    running = start(server.Pabal, certificate=certificate, dns=knot.server, more=TABLES)
    running.account("kim@example.kr", "secret")
    return running


def may_relay(client):
    assert client.mail("kim@example.kr").code == 250
    reply = client.rcpt("a@elsewhere.example")
    assert client.command("RSET").code == 250
    return reply.code == 250


def relays(running, source, name="mx"):
    with running.client(name, source=source) as client:
        assert client.ehlo().code == 250
        return may_relay(client)


def rcpt(running, recipient):
    with running.client() as client:
        client.ehlo()
        assert client.mail("lee@example.com").code == 250
        return client.rcpt(recipient)


def held(running):
    """What each smtpd and the master have open and mapped of snapshots."""
    found = {}
    for pid in [running.process.pid, *running.pids("smtpd")]:
        maps = open(f"/proc/{pid}/maps").read().count("pabal-snapshot")
        found[pid] = (len(os.listdir(f"/proc/{pid}/fd")), maps)
    return found


# ---- vpopmail's open relays

class Roaming:
    """Another program's .cdb: each version lets one of some clients relay, and
    lives for a while. Clients come all the time and are told by a version of
    the last second."""

    def __init__(self, running, tables, clients=5):
        self.running, self.tables, self.clients = running, tables, clients
        self.versions, self.wrong, self.asked = [(0, None)], [], 0
        self.stopping = threading.Event()

    def replace(self, versions, pause):
        for number in range(versions):
            lucky = number % self.clients
            self.tables.compile("roaming.cdb", f'203.0.113.{lucky}:allow,RELAYCLIENT=""\n')
            self.versions.append((time.monotonic(), lucky))
            self.stopping.wait(pause)

    def ask(self, number):
        while not self.stopping.is_set():
            before = time.monotonic()
            answer = relays(self.running, f"203.0.113.{number}")
            self.judge(number, answer, before, time.monotonic())

    def judge(self, number, answer, before, after):
        # a version is good from the moment it is written until a second after the next one is
        ends = [at for at, _ in self.versions[1:]] + [after]
        good = [lucky for (at, lucky), end in zip(self.versions, ends)
                if at <= after and end >= before - SECOND]
        self.asked += 1
        if not any((lucky == number) == answer for lucky in good):
            self.wrong.append((number, answer, before, self.versions[-8:]))

    def run(self, versions, pause):
        self.stopping.clear()
        threads = [threading.Thread(target=self.ask, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        self.replace(versions, pause)
        self.stopping.set()
        for thread in threads:
            thread.join()


def test_a_cdb_that_is_never_quiet_is_followed(running, tables):
    """Every 1.1 s, then ten times a second; who is connected notices nothing, no process is replaced,
    nothing is left behind."""
    with running.client(source="203.0.113.200") as patient:
        assert patient.ehlo().code == 250
        before, family = held(running), running.pids("smtpd")
        roaming = Roaming(running, tables)
        for versions, pause in ((3, 1.1), (30, 0.1)):
            roaming.run(versions, pause)
            assert not roaming.wrong, roaming.wrong[:3]
        assert roaming.asked > 100
        last = f"203.0.113.{29 % 5}"
        wait.until(lambda: relays(running, last), SECOND)
        assert running.pids("smtpd") == family
        wait.until(lambda: held(running) == before, 5, "descriptors and mappings are given back")
        assert not may_relay(patient)
    assert not running.log.events("tables", level="error")
    assert not running.log.events("role", reason=re.compile("started again"))


# ---- edited by hand

def errors(running, since):
    return running.log.events("tables", since, level="error")


def test_what_is_edited(running, tables):
    rules = tables.folder / "tcp.smtp"
    client = running.client(source="203.0.113.7")
    assert client.ehlo().code == 250
    assert not may_relay(client)

    # in place; sessions that are open look again at their next MAIL
    with open(rules, "a") as file:
        file.write('203.0.113.7:allow,RELAYCLIENT=""\n')
    wait.until(lambda: relays(running, "203.0.113.7"), SECOND)
    assert may_relay(client)

    # a deny: who is connected is refused, not cut
    tables.put("tcp.smtp", RULES + "203.0.113.7:deny\n")
    reply = wait.until(lambda: (r := client.mail("kim@example.kr")).code == 550 and r or
                       client.command("RSET") and None, SECOND)
    assert reply.enhanced == "5.7.1" and "client-denied" in reply.text
    event = running.await_event("refuse", rule="client-denied", verb="MAIL")
    assert event["where"] == f"rules {rules}:9"
    assert client.command("NOOP").code == 250

    # an error names the line, once, and the rules stay
    since = running.log.mark()
    tables.put("tcp.smtp", RULES + "203.0.113.7:allw\n")
    event = running.await_event("tables", since=since, level="error")
    assert f"{rules}:9" in event["reason"], event
    # a file that is taken away leaves them, too
    rules.unlink()
    event = running.await_event("tables", since=running.log.mark(), level="error")
    assert str(rules) in event["reason"], event
    assert client.mail("kim@example.kr").code == 550
    assert relays(running, "203.0.113.100")
    [row] = running.status("tables")
    assert str(rules) in row["failure"]
    assert len(errors(running, since)) == 2
    tables.put("tcp.smtp", RULES)
    wait.until(lambda: client.mail("kim@example.kr").code == 250, SECOND)
    running.await_event("tables", since=since, level="info")

    # domains
    assert client.quit().code == 221
    assert "relay-denied" in rcpt(running, "kim@new.example").text
    tables.put("rcpthosts", "listed.example\n.new.example\nnew.example\n")
    wait.until(lambda: "unknown-recipient" in rcpt(running, "kim@new.example").text, SECOND)
    assert "unknown-recipient" in rcpt(running, "kim@a.new.example").text


def test_a_reload_beside_it(running, tables):
    """A broken table keeps no new configuration out, unless that is about tables."""
    tables.put("tcp.smtp", "203.0.113.7:allw\n")
    running.await_event("tables", level="error")
    running.write_config(running.template + 'banner "another"\n')
    done = running.reload()
    assert done.returncode == 0, done.stderr
    with running.client() as client:
        assert client.banner.text == "another"
    assert relays(running, "203.0.113.100")
    running.write_config(running.template + 'clients { "203.0.113.9" relay }\n')
    done = running.reload()
    assert done.returncode != 0 and "tcp.smtp:1" in done.stdout + done.stderr
    # it is tried again when the table is right
    tables.put("tcp.smtp", RULES)
    wait.until(lambda: relays(running, "203.0.113.9"), 15)


# ---- what a rule says

def test_variables_of_rules(running):
    with running.client(source="203.0.113.101") as client: # RELAYCLIENT with a value
        client.ehlo()
        assert client.deliver("kim@example.kr", "lee@elsewhere.example",
                              smtp.text_message()).code == 250
    event = running.await_event("accept")
    assert event["to"] == '"lee@elsewhere.example"@fixme.example'
    with running.client(source="203.0.113.102") as client: # DATABYTES, MAXRCPT
        client.ehlo()
        assert client.extensions["SIZE"] == "2000"
        reply = client.mail("kim@example.kr", "SIZE=2001")
        assert reply.code == 552, reply
        assert client.mail("kim@example.kr").code == 250
        codes = [client.rcpt(f"{n}@elsewhere.example").code for n in "abc"]
        assert codes == [250, 250, 452]
        assert client.data(b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y\r\n" * 700).code == 552
    for source, code, words in (("203.0.113.103", 451, "listed, see http://rbl.example/103"),
                                ("203.0.113.104", 553, "go away")):
        with running.client(source=source) as client: # RBLSMTPD
            client.ehlo()
            assert client.mail("a@elsewhere.example").code == 250
            reply = client.rcpt("kim@example.kr")
            assert reply.code == code and words in reply.text, reply
    event = running.await_event("refuse", rule="rbl-text", code="553")
    assert event["where"].endswith("tcp.smtp:5")
    with pytest.raises(smtp.Closed): # closed without a word
        running.client(source="203.0.113.105")
    running.await_event("refuse", rule="client-denied", client="203.0.113.105")


def test_rules_by_name(running):
    assert relays(running, "203.0.113.120") # the second of its names leads back
    event = running.await_event("connect", client="203.0.113.120")
    assert event["name"] == "good.test"
    assert not relays(running, "203.0.113.121") # says so, and is not
    with pytest.raises(smtp.Closed):
        running.client(source="203.0.113.122")
    assert not relays(running, "203.0.113.123") # no name at all
    with running.client(source="203.0.113.120") as client:
        assert client.ehlo().code == 250
        assert client.deliver("lee@example.com", "kim@example.kr", smtp.text_message()).code == 250
    [message] = running.wait_messages("kim@example.kr")
    assert b"(good.test [203.0.113.120])" in message.replace(b"\r\n\t", b" "), message
