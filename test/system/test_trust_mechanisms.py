# SPDX-License-Identifier: ISC
"""`trust-mechanisms`: who logs in by another mechanism may do all but relay."""

import base64

from pabal import server

CONFIG = server.USUAL.replace(
    'require { tls auth } }', 'require { tls auth } trust-mechanisms "PLAIN" }') + """
queue { hold yes }
"""


def session(pabal, mechanism):
    client = pabal.client("submission")
    client.ehlo()
    assert client.starttls().code == 220
    client.ehlo()
    if mechanism == "PLAIN":
        reply = client.auth_plain("kim@example.kr", "secret")
    else:
        assert client.command("AUTH LOGIN").code == 334
        for word in (b"kim@example.kr", b"secret"):
            reply = client.command(base64.b64encode(word).decode())
    assert reply.code == 235
    assert client.mail("kim@example.kr").code == 250
    return client


def test_a_mechanism_that_is_not_trusted_gives_no_right_to_relay(start, certificate):
    pabal = start(server.Pabal, CONFIG, certificate=certificate)
    pabal.account("kim@example.kr", "secret")
    with session(pabal, "LOGIN") as client:
        assert client.rcpt("kim@example.kr").code == 250, "local mail is taken"
        since = pabal.log.mark()
        reply = client.rcpt("lee@elsewhere.test")
        assert reply.code == 550 and reply.enhanced == "5.7.1"
        assert "trust-mechanisms" in str(reply.text)
        pabal.await_event("refuse", since=since, rule="relay-denied")
    with session(pabal, "PLAIN") as client:
        assert client.rcpt("lee@elsewhere.test").code == 250
    pabal.run("account", "set", "kim@example.kr", "--relay", "no")
    with session(pabal, "LOGIN") as client:
        reply = client.rcpt("lee@elsewhere.test")
        assert reply.code == 550 and "trust-mechanisms" not in str(reply.text)
