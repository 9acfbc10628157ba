# SPDX-License-Identifier: ISC
"""Connections through proxies that the configuration names: the PROXY protocol, both versions, on
plain and on TLS ports, and whose address counts from then on."""

import re
import socket
import ssl
import struct
import subprocess

import pytest

from pabal import server, smtp, tls

PROXY, PROXY6 = "198.51.100.5", "2001:db8:5::5"
CLIENT, CLIENT6 = "203.0.113.50", "2001:db8:113::50"
NAMED = """
proxies { "198.51.100.5" "2001:db8:5::/64" }
clients { "203.0.113.50" relay  "2001:db8:113::50" relay  "203.0.113.51" deny "not you" }
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client, target="192.0.2.1", port=54321, to=25):
    family = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {family} {client} {target} {port} {to}\r\n".encode()


def v2(client, target="192.0.2.1", port=54321, to=25, tlvs=b""):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    body = (socket.inet_pton(family, client) + socket.inet_pton(family, target) +
            struct.pack("!HH", port, to) + tlvs)
    return SIGNATURE + bytes([0x21, 0x21 if ":" in client else 0x11]) + struct.pack("!H", len(body)) + body


LOCAL = SIGNATURE + b"\x20\0\0\0"


class Proxied(smtp.Client):
    """A client that a proxy speaks for: `header` first, in pieces of `size`."""

    def __init__(self, running, header, name="mx", source=PROXY, size=None, implicit=False, banner=True):
        address, port = running.listeners[name]
        self.hostname, self.buffer, self.extensions = "mail.example.kr", b"", {}
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND: any address of the test's
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(20)
        self.socket.bind((source, 0))
        self.socket.connect((address, port))
        if size:
            self.send_split(header, size)
        else:
            self.send(header)
        if implicit:
            self.wrap()
        self.banner = self.reply() if banner else None


@pytest.fixture
def running(start, certificate):
    running = start(server.Pabal, certificate=certificate, more=NAMED)
    running.account("kim@example.kr", "secret")
    return running


def may_relay(client):
    assert client.ehlo().code == 250
    assert client.mail("kim@example.kr").code == 250
    return client.rcpt("a@elsewhere.example").code == 250


def test_the_clients_address_is_the_one_in_the_header(running):
    cases = [(v1(CLIENT), CLIENT), (v2(CLIENT), CLIENT),
             (v1(CLIENT6, "2001:db8::1"), CLIENT6), (v2(CLIENT6, "2001:db8::1"), CLIENT6),
             (v1("::ffff:" + CLIENT, "::ffff:192.0.2.1"), CLIENT),
             (v2(CLIENT, tlvs=b"\x02\0\4name\xea\0\1x"), CLIENT)]
    for header, address in cases:
        for size in (None, 1):
            since = running.log.mark()
            with Proxied(running, header, size=size) as client:
                assert may_relay(client), header
            event = running.await_event("connect", since=since)
            assert (event["client"], event["port"], event["proxy"]) == (address, "54321", PROXY)
    with Proxied(running, v2("203.0.113.60")) as client:
        assert not may_relay(client)
    with Proxied(running, v1("203.0.113.51"), banner=False) as client:
        assert client.reply().code == 554
    # over IPv6 to us, for somebody with IPv4
    with Proxied(running, v2(CLIENT), name="6:mx", source=PROXY6) as client:
        assert may_relay(client)


def test_behind_it_everything_is_as_ever(running):
    """TLS at once with the header before it, a login, a message; what the queue and the trace field
    say of the client."""
    for header, size in ((v1(CLIENT6, "2001:db8::1", to=465), 1), (v2("203.0.113.60", to=465), None)):
        with Proxied(running, header, "submissions", size=size, implicit=True) as client:
            assert client.ehlo().code == 250
            assert client.auth_plain("kim@example.kr", "secret").code == 235
            assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250
    received = b"".join(running.wait_messages("kim@example.kr", 2))
    assert b"[IPv6:2001:db8:113::50]" in received and b"[203.0.113.60]" in received
    assert b"198.51.100.5" not in received
    events = running.log.events("auth", account="kim@example.kr")
    assert [e["client"] for e in events] == [CLIENT6, "203.0.113.60"]
    # the header and the ClientHello in one packet: neither is lost
    address, port = running.listeners["submissions"]
    with socket.create_connection((address, port), 20, (PROXY, 0)) as raw:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = tls.unchecked_context().wrap_bio(incoming, outgoing, server_hostname="mail.example.kr")
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        raw.sendall(v2(CLIENT, to=465) + outgoing.read())
        assert raw.recv(1) == b"\x16"  # TLS answers


def test_who_must_and_who_may(running):
    """A proxy without a good header is closed with an event that says what to do; a header of
    somebody else is an unknown command."""
    for octets, words in ((b"EHLO client.example\r\n", "does not begin"),
                          (v1(CLIENT).replace(b"TCP4", b"TCP9"), "family"),
                          (SIGNATURE + b"\x21\x11\x10\x01", "longer than 4096")):
        since = running.log.mark()
        with Proxied(running, octets, banner=False) as client:
            assert client.is_closed()
        event = running.await_event("proxy", since=since, client=PROXY)
        assert words in event["reason"] and "send-proxy" in event["reason"]
        assert len(running.log.events("proxy", since)) == 1
    since = running.log.mark()
    with Proxied(running, b"", banner=False) as silent, Proxied(running, b"PROXY TC", banner=False) as half:
        assert half.is_closed() and silent.is_closed()
        running.await_event("proxy", since=since, reason=re.compile("nothing came"))
        running.await_event("proxy", since=since, reason=re.compile("whole within 5"))
    with running.client(source="203.0.113.9") as client:
        reply = client.command(v1(CLIENT)[:-2])
        assert reply.code == 500, reply
        assert not may_relay(client)
    # its own checks: it speaks for itself
    with Proxied(running, LOCAL) as client:
        assert not may_relay(client)
    assert running.log.events("connect", client=PROXY)


def test_proxies_of_one_server(start, certificate):
    more = NAMED + 'server "inside" { listen "$listen_inside" proxies { } }\n'
    running = start(server.Pabal, certificate=certificate, more=more)
    with running.client("inside", source=PROXY) as client:
        assert client.banner.code == 220
    with Proxied(running, v2(CLIENT)) as client:
        assert client.banner.code == 220
    running.write_config(running.template.replace('"2001:db8:5::/64"', '"2001:db8:5::/64" "0.0.0.0/0"'))
    done = running.run("check", check=False)
    assert done.returncode and "proxies: expected" in done.stderr


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def surroundings():
    """A container bridge, and one that joins us to a network with a default gateway, in the tests'
    own network."""
    ip("link", "add", "inner7", "type", "bridge")
    try:
        ip("address", "add", "172.30.0.1/16", "dev", "inner7")
        ip("link", "add", "uplink7", "type", "bridge")
        ip("address", "add", "172.31.0.2/24", "dev", "uplink7")
        ip("link", "set", "uplink7", "up")
        ip("route", "add", "default", "via", "172.31.0.254", "dev", "uplink7")
        yield
    finally:
        for name in ("inner7", "uplink7"):
            subprocess.run(["ip", "link", "del", name], check=False)


def test_trust_in_who_hides_others_is_warned_about(surroundings, start, certificate):
    more = NAMED + 'clients { "172.31.0.254" relay  "172.31.0.2" relay  "172.30.0.0/16" relay  "198.51.100.0/24" relay }\n'
    running = start(server.Pabal, certificate=certificate, more=more)
    running.account("kim@example.kr", "secret")
    said = running.run("check").stderr
    for words in ("172.31.0.254 relay, which is the default gateway", "on the bridge inner7",
                  "198.51.100.5 relay, which is one of proxies"):
        assert len(re.findall(rf"pabal.conf:\d+:1: warning: .*{words}", said)) == 1, said
        assert words in running.log.text()  # and at the start
    assert "172.31.0.2 " not in said  # a bridge, but over which we reach the world ourselves
    for _ in range(8):
        with Proxied(running, v2("172.31.0.254")) as client:
            assert may_relay(client)
    hints = running.log.events("proxy", rule="gateway-trusted")
    assert 1 <= len(hints) <= 2 and "PROXY protocol" in hints[0]["reason"], hints
