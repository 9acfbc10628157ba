# SPDX-License-Identifier: ISC
"""What a site of qmail brings with it: tcp.smtp, rcpthosts, locals, morercpthosts.cdb, aliases."""

import socket
import struct

import pytest

from pabal import server, sink, smtp

SITE = """
compat { qmail }
domains from "$folder/site/locals"
relay-domains from "$folder/site/rcpthosts" "$folder/site/morercpthosts.cdb"
relay-domains { "*.customer.test" }
rules "$folder/site/tcp.smtp"
aliases "$folder/site/aliases"
clients {
    "192.0.2.77" deny "write to postmaster"
    "192.0.2.78" relay
}
route "*" { smtp "192.0.2.26:2500" tls never }
"""
FILES = {
    "locals": "# ours\nexample.kr\nSecond.Example\r\n\n.people.example\n",
    "rcpthosts": "example.kr\nbackup.test\n.below.test\n",
    "tcp.smtp": '127.:allow,RELAYCLIENT=""\n192.0.2.78:deny\n203.0.113.5-6:deny\n'
                '203.0.113.:allow,RELAYCLIENT=""\n:allow\n',
    "aliases": "office: kim@example.kr\n",
}
DENIED = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"


def cdb(keys):
    """As cdbmake writes it: records, then a hash table for each of 256 parts."""
    records, tables = b"", [[] for _ in range(256)]
    for key in keys:
        octets, number = key.encode(), 5381
        for octet in octets:
            number = ((number << 5) + number & 0xffffffff) ^ octet
        tables[number % 256].append((number, 2048 + len(records)))
        records += struct.pack("<II", len(octets), 0) + octets
    header, slots = b"", b""
    for table in tables:
        size = 2 * len(table)
        header += struct.pack("<II", 2048 + len(records) + len(slots), size)
        places = [(0, 0)] * size
        for number, position in table:
            place = (number >> 8) % size
            while places[place][1]:
                place = (place + 1) % size
            places[place] = (number, position)
        slots += b"".join(struct.pack("<II", *place) for place in places)
    return header + records + slots


def rcpt(client, recipient):
    return client.rcpt(recipient).raw.decode().strip()


@pytest.fixture
def site(start, folder, certificate):
    place = folder / "pabal" / "site"
    place.mkdir(parents=True)
    for name, text in FILES.items():
        (place / name).write_text(text)
    (place / "morercpthosts.cdb").write_bytes(cdb([f"d{n}.more.test" for n in range(300)] + [".deep.test"]))
    running = start(server.Pabal, more=SITE, certificate=certificate)
    running.account("kim@example.kr", "secret")
    return running


def test_what_strangers_may(site, start):
    """From an address that may nothing: own domains, lists, wildcards as qmail has them."""
    hop = start(sink.Sink, "192.0.2.26", 2500)
    taken = ["kim@example.kr", "a@backup.test", "a@x.below.test", "a@y.x.Below.Test", "a@d0.more.test",
             "a@d299.more.test", "a@q.deep.test", "a@one.customer.test"]
    denied = ["a@elsewhere.test", "a@below.test", "a@x.backup.test", "a@d300.more.test", "a@deep.test",
              "a@customer.test", "a@more.test"]
    with site.client(source="198.51.100.9") as client:
        client.ehlo()
        client.mail("lee@client.test")
        for recipient in taken:
            assert rcpt(client, recipient).startswith("250 "), recipient
        for recipient in denied:
            assert rcpt(client, recipient) == DENIED, recipient
        # a route in the local part would let the next host relay for us
        assert "hidden-route" in rcpt(client, "a%elsewhere.test@backup.test")
        # ours by locals, so they must exist
        for recipient in ("nobody@second.example", "nobody@x.people.example", "nobody@example.kr"):
            assert "unknown-recipient" in rcpt(client, recipient)
        assert client.data(smtp.text_message()).code == 250
    passed_on = {name for message in hop.wait(messages=1) for name in message.recipients}
    assert len(site.wait_messages("kim@example.kr")) == 1
    assert {name.lower() for name in passed_on} <= {name.lower() for name in taken[1:]}
    event = site.log.await_event("refuse", rule="relay-denied")
    assert event["reason"] == DENIED[4:]


def closed_without_a_word(running, source):
    with socket.create_connection(("127.0.0.1", running.port()), 10, (source, 0)) as plain:
        return plain.recv(100) == b""


def test_rules(site):
    """deny without a text: not a word, as tcpserver; with one: 554. The log says which line it was."""
    with site.client(source="203.0.113.4") as client:
        client.ehlo()
        client.mail("lee@client.test")
        assert rcpt(client, "a@elsewhere.test").startswith("250 ")
    for source in ("203.0.113.5", "203.0.113.6"):
        mark = site.log.mark()
        assert closed_without_a_word(site, source)
        event = site.log.await_event("refuse", since=mark, rule="client-denied")
        assert event["where"].endswith("/site/tcp.smtp:3") and "code" not in event
    assert closed_without_a_word(site, "192.0.2.78") # a deny goes before clients
    with site.client(source="192.0.2.77") as client:
        assert client.banner.raw.decode().strip() == "554 5.7.1 client-denied: write to postmaster"


def test_check_reads_the_files(site):
    """`pabal check` finds what the server would refuse, with its line."""
    tcp = site.folder / "site" / "tcp.smtp"
    tcp.write_text("1.2.3.4:deny\n1.2.3.5: allow\n")
    done = site.run("check", check=False)
    assert done.returncode == 1
    assert f"{tcp}:2:1: error: expected allow or deny behind the \":\"" in done.stderr
    (site.folder / "site" / "locals").unlink()
    done = site.run("check", check=False)
    assert "/site/locals: error: cannot open" in done.stderr
