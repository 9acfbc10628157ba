# SPDX-License-Identifier: ISC
"""Quotas: a full mailbox at RCPT and at delivery, what waits for room, a brim
filled by many at once, warnings, the postmaster, Dovecot and deliverquota in
the same Maildir."""

import concurrent.futures
import json
import os
import re
import signal
import tempfile
from pathlib import Path

import pytest

from pabal import peers, server, wait

DOMAIN = "example.kr"
CONFIG = server.USUAL.replace('domains { "example.kr" }', 'domains { "example.kr" "mbox.example" }') \
    .replace('deliver { maildir "$folder/mail/%d/%u/Maildir" }', """\
deliver { maildir "$folder/mail/%d/%u/Maildir"  quota 10M  quota-over $over }
mailboxes "mbox.example" { mbox "$folder/mail/mbox.example/%u" }
queue { first-retry 1h  max-retry 1h }
""").replace("queue { senders 2 }\n", "").replace("limits { workers 2 }", """\
limits { workers 2  connections-address 100 }""")


@pytest.fixture(scope="module")
def pabal(certificate):
    with tempfile.TemporaryDirectory(prefix="quotas.", dir=os.environ.get("PABAL_TEST_FOLDER"),
                                     ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with server.Pabal(folder, CONFIG, certificate=certificate, over="defer") as made:
            made.account("kim@example.kr", "secret")
            yield made


def make(pabal, name, **quota):
    address = f"{name}@{DOMAIN}"
    pabal.account(address, "secret")
    if quota:
        set_quota(pabal, address, **quota)
    return address


def set_quota(pabal, name, **quota):
    words = [w for key, value in quota.items() for w in ("--" + key.replace("_", "-"), str(value))]
    pabal.run("quota", "set", name, *words)


def show(pabal, name):
    (line,) = pabal.run("quota", "show", name, "--json").stdout.splitlines()
    return json.loads(line)


def recount(pabal, name):
    (line,) = pabal.run("quota", "recount", name, "--json").stdout.splitlines()
    return json.loads(line)


def body(octets, subject="full"):
    lines = "x" * 70 + "\r\n"
    return f"Subject: {subject}\r\n\r\n" + lines * max(1, octets // len(lines))


def rcpt(client, to, size=None):
    words = f" SIZE={size}" if size else ""
    assert client.command(f"MAIL FROM:<lee@example.com>{words}").code == 250
    reply = client.command(f"RCPT TO:<{to}>")
    client.command("RSET")
    return reply


def send(client, to, text, sender="lee@example.com"):
    """The code of the reply that decided."""
    assert client.command(f"MAIL FROM:<{sender}>").code == 250
    reply = client.command(f"RCPT TO:<{to}>")
    if reply.code != 250:
        client.command("RSET")
        return reply.code
    assert client.command("DATA").code == 354
    client.send(text.encode() + b".\r\n")
    return client.reply().code


def files_of(pabal, address):
    folder = pabal.maildir(address)
    return [path for part in ("new", "cur") for path in (folder / part).glob("*")]


def counted(pabal, address):
    """As anybody would count who reads the Maildir: octets, messages."""
    files = files_of(pabal, address)
    return sum(path.stat().st_size for path in files), len(files)


def maildirsize(pabal, address):
    """(limits, octets, messages) of the file."""
    first, *rest = (pabal.maildir(address) / "maildirsize").read_text().splitlines()
    rows = [tuple(map(int, line.split())) for line in rest]
    return first, sum(row[0] for row in rows), sum(row[1] for row in rows)


def waiting(pabal, address):
    rows = pabal.run("queue", "list", "--recipient", address, "--limit", "1000",
                     "--json").stdout.splitlines()
    return [json.loads(row) for row in rows]


# ---- a full mailbox

def test_what_has_no_room_waits_and_comes_when_there_is_some(pabal):
    full = make(pabal, "full", hard="20K")
    with pabal.client() as client:
        client.ehlo()
        assert send(client, full, body(15000)) == 250
        wait.until(lambda: show(pabal, full)["messages"] == 1)
        assert rcpt(client, full).code == 250
        reply = rcpt(client, full, 10000)
        assert (reply.code, reply.enhanced) == (452, "4.2.2"), reply
        assert "mailbox-full" in reply.text
        # Nothing declared: it is taken, and waits.
        assert send(client, full, body(10000)) == 250
    (row,) = wait.until(lambda: [r for r in waiting(pabal, full) if r["tries"]])
    assert row["status"] == "4.2.2" and "mailbox-full" in row["reply"], row
    octets, messages = counted(pabal, full)
    assert maildirsize(pabal, full) == ("20480S", octets, messages)
    assert show(pabal, full)["octets"] == octets
    # Emptied by somebody who tells nobody; the next count finds it, an hour before the next try.
    for path in files_of(pabal, full):
        path.unlink()
    assert recount(pabal, full)["octets"] == 0
    pabal.wait_messages(full)
    wait.until(lambda: not waiting(pabal, full))


def test_more_room_is_used_at_once(pabal):
    box = make(pabal, "grows", messages=1)
    with pabal.client() as client:
        client.ehlo()
        pabal.signal_role("local", signal.SIGSTOP)
        assert [send(client, box, body(100, "grows")) for _ in range(2)] == [250, 250]
        pabal.signal_role("local", signal.SIGCONT)
    wait.until(lambda: [r for r in waiting(pabal, box) if r["tries"]])
    assert len(files_of(pabal, box)) == 1
    set_quota(pabal, box, messages=2)
    pabal.wait_messages(box, 2)


def test_refused_at_rcpt_where_that_is_set_and_returned_at_the_end_of_its_life(pabal):
    box = make(pabal, "refused", messages=1)
    with pabal.client() as client:
        client.ehlo()
        pabal.signal_role("local", signal.SIGSTOP)
        assert [send(client, box, body(100, f"returned {n}"), "kim@example.kr") for n in range(2)] \
            == [250, 250]
        pabal.signal_role("local", signal.SIGCONT)
        (row,) = wait.until(lambda: [r for r in waiting(pabal, box) if r["tries"]])
    usual = pabal.template
    pabal.write_config(usual.replace("quota-over $over", "quota-over refuse")
                       .replace("first-retry 1h", "life 1s  first-retry 1s"))
    pabal.reload()
    try:
        # Its time is over: one last try, perhaps by the new configuration, and the sender is told.
        pabal.run("queue", "retry", row["id"], check=False)
        report = wait.until(lambda: [m for m in pabal.messages("kim@example.kr")
                                     if b"report-type=delivery-status" in m])[0]
        assert b"Status: 5.2.2\n" in report and b"mailbox-full" in report
        assert not waiting(pabal, box)
        with pabal.client() as client:
            client.ehlo()
            reply = wait.until(lambda: (lambda r: r.code == 552 and r)(rcpt(client, box)))
            assert reply.enhanced == "5.2.2" and "mailbox-full" in reply.text
    finally:
        pabal.write_config(usual)
        pabal.reload()
    assert len(files_of(pabal, box)) == 1


# ---- the soft quota

def warnings(pabal, address):
    """By Message-ID: what was being delivered when the queue was killed may be there twice."""
    return {re.search(rb"^Message-ID: (.*)$", m, re.M)[1]: m for m in pabal.messages(address)
            if b"\nAuto-Submitted: auto-generated\n" in m}


def test_the_owner_is_warned_once_a_day_even_if_it_fills_the_mailbox(pabal):
    box = make(pabal, "soft", soft="3K", hard="20K", messages=2)
    with pabal.client() as client:
        client.ehlo()
        assert send(client, box, body(2000)) == 250
        pabal.wait_messages(box)
        assert send(client, box, body(2000)) == 250
        pabal.wait_messages(box, 3)
        (warning,) = warnings(pabal, box).values()
        assert b"4.2K of 20K." in warning and b"2 messages of 2." in warning, warning
        assert b"From: Mail system <kim@example.kr>" in warning
        assert b"Return-Path: <>" in warning
    before = pabal.pids("queue")
    pabal.signal_role("queue")
    wait.until(lambda: pabal.pids("queue") and pabal.pids("queue") != before)
    wait.until(lambda: pabal.run("quota", "show", box, check=False).returncode == 0)
    set_quota(pabal, box, messages=10)
    with pabal.client() as client:
        client.ehlo()
        for n in range(4, 7):
            wait.until(lambda: send(client, box, body(500)) == 250)
            pabal.wait_messages(box, n)
    assert len(warnings(pabal, box)) == 1
    assert show(pabal, box)["state"] == "soft"


# ---- who passes

def test_the_postmaster_passes(pabal):
    set_quota(pabal, "kim@example.kr", messages=1)
    with pabal.client() as client:
        client.ehlo()
        for to in ("kim@example.kr", f"postmaster@{DOMAIN}", "kim@example.kr"):
            assert send(client, to, body(100)) == 250
    pabal.wait_messages("kim@example.kr", 3)
    set_quota(pabal, "kim@example.kr", messages="default")


def test_what_is_most_special_holds(pabal):
    box = make(pabal, "special")
    values = lambda: {k: v for k, v in show(pabal, box).items() if k.startswith("quota") or k == "said"}
    nothing = {"quota": 10 << 20, "quota_soft": 0, "quota_messages": 0, "quota_messages_soft": 0,
               "said": "default"}
    assert values() == nothing
    set_quota(pabal, f"domain:{DOMAIN}", hard="2M", messages=7)
    assert values() == nothing | {"quota": 2 << 20, "quota_messages": 7, "said": "domain"}
    set_quota(pabal, box, hard="none", soft="1M")
    assert values() == nothing | {"quota": 0, "quota_soft": 1 << 20, "quota_messages": 7,
                                  "said": "account"}
    set_quota(pabal, box, hard="default")
    set_quota(pabal, f"domain:{DOMAIN}", hard="default", messages="default")
    assert values() == nothing | {"quota_soft": 1 << 20}
    listed = [json.loads(row) for row in pabal.run("quota", "list", "--json").stdout.splitlines()]
    assert not [row for row in listed if "domain" in row]
    assert {row["name"] for row in listed} >= {box, "kim@example.kr"}
    assert "special@example.kr" in pabal.run("quota", "list").stdout


# ---- a brim

def test_a_mailbox_filled_by_many_at_once_never_passes_and_loses_nothing(pabal):
    limit = 60
    box = make(pabal, "brim", messages=limit, hard="200K")
    connections, each = 8, 40

    def fill(number):
        taken = 0
        with pabal.client() as client:
            client.ehlo()
            for n in range(each):
                taken += send(client, box, body(1500, f"brim {number}.{n}")) == 250
        return taken

    # Everything is in the queue before the first is delivered, so that RCPT keeps nothing out.
    most, since = 0, pabal.log.mark()
    pabal.signal_role("local", signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        filling = [pool.submit(fill, n) for n in range(connections)]
        taken = sum(f.result() for f in filling)
    assert taken == connections * each
    pabal.signal_role("local", signal.SIGCONT)
    while not all(row["tries"] for row in waiting(pabal, box)):
        most = max(most, len(files_of(pabal, box)))
    here, queued = len(files_of(pabal, box)), len(waiting(pabal, box))
    octets, messages = counted(pabal, box)
    assert most <= limit and messages == limit and octets <= 200 << 10, (most, octets, messages)
    assert here + queued == taken, (here, queued, taken)
    assert maildirsize(pabal, box) == ("204800S,60C", octets, messages)
    assert not pabal.log.events("bounce", since=since)
    # Emptied, as often as it takes: everything arrives.
    subjects, left = set(), queued
    for _ in range(taken // limit + 1):
        for path in files_of(pabal, box):
            subjects.add(re.search(rb"^Subject: (.*)$", path.read_bytes(), re.M)[1])
            path.unlink()
        assert recount(pabal, box)["messages"] <= min(limit, left)
        wait.until(lambda: len(files_of(pabal, box)) == min(limit, left), 20)
        left -= min(limit, left)
        wait.until(lambda: len(waiting(pabal, box)) == left)
        # Each was tried and found no room, so that the next count wakes it.
        wait.until(lambda: all(row["state"] == "due" for row in waiting(pabal, box)))
    assert len(subjects) == taken


# ---- the same Maildir as Dovecot and courier

DOVECOT = """\
base_dir = $folder/run
state_dir = $folder/run
log_path = /dev/stderr
ssl = no
mail_location = maildir:$maildir
mail_home = $folder/home
mail_plugins = quota
first_valid_uid = 1
first_valid_gid = 0
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
postmaster_address = postmaster@example.kr
hostname = mail.example.kr
namespace inbox {
  inbox = yes
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=10M:messages=1000
}
"""
# Twenty of each, all at once.
BOTH = """\
export HOME=$folder/home USER=nobody
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    /usr/lib/dovecot/dovecot-lda -c $folder/dovecot.conf -f lee@example.com <$folder/message &
    /usr/sbin/deliverquota.maildrop $maildir 10485760S,1000C <$folder/message &
done
wait
"""


class Others(peers.Peer):
    """Dovecot's and courier's programs, in Pabal's Maildir and as its user."""

    def __init__(self, folder, maildir):
        super().__init__(folder, "others")
        self.words = {"folder": str(self.folder), "maildir": str(maildir)}
        self.put("dovecot.conf", DOVECOT)
        self.put("message", "Subject: hi\n\n" + "of another program\n" * 30)
        self.put("both.sh", BOTH)
        (self.folder / "home").mkdir()
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, server.PLAIN_USER, server.PLAIN_USER)

    def put(self, name, text):
        (self.folder / name).write_text(server.Template(text).substitute(self.words))

    def as_owner(self, *words):
        return self.run("env", f"HOME={self.folder}/home", "USER=nobody", *words,
                        user=server.PLAIN_USER)

    def doveadm(self, *words):
        return self.as_owner("doveadm", "-c", self.folder / "dovecot.conf", *words)

    def usage(self):
        """(KiB, messages) as Dovecot tells."""
        rows = self.doveadm("-f", "tab", "quota", "get").splitlines()[1:]
        values = {row.split("\t")[1]: int(row.split("\t")[2]) for row in rows}
        return values["STORAGE"], values["MESSAGE"]


@pytest.mark.skipif(not peers.have_peers() or not peers.is_root(), reason="no peers unpacked (./dev test)")
def test_dovecot_and_deliverquota_agree(pabal):
    box = make(pabal, "shared", messages=1000)
    with pabal.client() as client:
        client.ehlo()
        assert send(client, box, body(300)) == 250
        pabal.wait_messages(box)
        maildir = pabal.maildir(box)
        others = Others(pabal.folder, maildir) # enter-peers shows one folder: the server's
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(others.as_owner, "sh", others.folder / "both.sh")
            codes = [send(client, box, body(700)) for _ in range(40)]
            theirs.result()
        assert codes == [250] * 40
    wait.until(lambda: not waiting(pabal, box))
    # One header, one sum, in which every program's messages are.
    octets, messages = counted(pabal, box)
    assert messages == 81
    assert maildirsize(pabal, box) == ("10485760S,1000C", octets, messages)
    assert others.usage() == (-(-octets // 1024), messages)
    # Dovecot throws some away, and counts anew: what it writes is what we read, and the other way.
    others.doveadm("expunge", "mailbox", "INBOX", "1:30")
    octets, messages = counted(pabal, box)
    assert messages == 51 and maildirsize(pabal, box) == ("10485760S,1000C", octets, messages)
    others.doveadm("quota", "recalc")
    assert maildirsize(pabal, box) == ("10485760S,1000C", octets, messages)
    row = recount(pabal, box)
    assert (row["octets"], row["messages"]) == (octets, messages)
    assert maildirsize(pabal, box) == ("10485760S,1000C", octets, messages)
    assert others.usage() == (-(-octets // 1024), messages)
    # deliverquota counts anew where there is no file.
    (maildir / "maildirsize").unlink()
    others.as_owner("sh", "-c", f"deliverquota.maildrop {maildir} 10485760S,1000C "
                                f"<{others.folder}/message")
    octets, messages = counted(pabal, box)
    assert maildirsize(pabal, box) == ("10485760S,1000C", octets, messages)
    assert recount(pabal, box)["octets"] == octets


# ---- an mbox

def test_an_mbox_has_a_quota_too(pabal):
    pabal.account("kim@mbox.example", "secret")
    set_quota(pabal, "kim@mbox.example", hard="10K", messages=3)
    path = pabal.folder / "mail" / "mbox.example" / "kim"
    here = lambda: path.read_bytes().count(b"Subject: mbox") if path.exists() else 0
    with pabal.client() as client:
        client.ehlo()
        pabal.signal_role("local", signal.SIGSTOP)
        assert [send(client, "kim@mbox.example", body(100, f"mbox {n}")) for n in range(5)] == [250] * 5
        pabal.signal_role("local", signal.SIGCONT)
        wait.until(lambda: all(r["tries"] for r in waiting(pabal, "kim@mbox.example")))
        assert here() == 3 and len(waiting(pabal, "kim@mbox.example")) == 2
        row = show(pabal, "kim@mbox.example")
        assert (row["octets"], row["messages"], row["state"]) == (path.stat().st_size, 3, "full")
        assert rcpt(client, "kim@mbox.example").code == 452
    os.truncate(path, 0)
    assert recount(pabal, "kim@mbox.example")["messages"] <= 2
    wait.until(lambda: here() == 2)
    wait.until(lambda: not waiting(pabal, "kim@mbox.example"))
