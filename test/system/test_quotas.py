# SPDX-License-Identifier: ISC
"""Quotas: a full mailbox at RCPT and at delivery, what waits for room, a brim
filled by many at once, warnings, the postmaster, Dovecot and deliverquota in
the same Maildir."""

import concurrent.futures
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from pabal import peers, server, wait

DOMAIN = "example.kr"
CONFIG = server.USUAL.replace('deliver { maildir "$folder/mail/%d/%u/Maildir" }', """\
deliver { maildir "$folder/mail/%d/%u/Maildir"  quota 10M  quota-over $over }
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


def send(client, to, text):
    """The code of the reply that decided."""
    assert client.command("MAIL FROM:<lee@example.com>").code == 250
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
    rows = pabal.run("queue", "list", "--recipient", address, "--json").stdout.splitlines()
    return [json.loads(row) for row in rows]


# ---- a full mailbox

def test_what_has_no_room_waits_and_comes_when_there_is_some(pabal):
    full = make(pabal, "full", hard="20K")
    with pabal.client() as client:
        client.ehlo()
        assert send(client, full, body(15000)) == 250
        pabal.wait_messages(full)
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
        assert [send(client, box, body(100, "grows")) for _ in range(2)] == [250, 250]
    wait.until(lambda: [r for r in waiting(pabal, box) if r["tries"]])
    assert len(files_of(pabal, box)) == 1
    set_quota(pabal, box, messages=2)
    pabal.wait_messages(box, 2)
