# SPDX-License-Identifier: ISC
"""Each peer works by itself, so that a red test elsewhere is about us."""

import base64
import socket
import subprocess

import pytest

from pabal import peers, sink, smtp, tls


def test_knot_answers_plain_and_signed_zones(start):
    knot = start(peers.Knot, {
        "plain.test": "@ MX 10 mx\nmx A 192.0.2.25\nnull MX 0 .",
        "signed.test": "@ MX 10 mx\nmx A 192.0.2.26",
    }, signed=["signed.test"])
    assert knot.asks("plain.test", "MX") == 1
    assert knot.asks("null.plain.test", "MX") == 1
    assert knot.asks("nowhere.plain.test", "MX") == 0
    assert knot.asks("signed.test", "MX") == 2, "the record and its signature"
    words = knot.ds("signed.test").split()
    assert words[:3] == ["signed.test.", "IN", "DS"] and len(words[-1]) == 64


def test_knot_takes_changes_and_falls_silent(start):
    knot = start(peers.Knot, {"a.test": "@ A 192.0.2.1"})
    knot.change("a.test", "@ A 192.0.2.1\n@ A 192.0.2.2")
    assert knot.asks("a.test", "A") == 2
    knot.change("b.test", "@ MX 0 .")
    assert knot.asks("b.test", "MX") == 1
    knot.pause()
    assert knot.asks("a.test", "A") == 0
    knot.resume()
    assert knot.asks("a.test", "A") == 2


@pytest.mark.root
def test_postfix_takes_mail_from_swaks(start, certificate):
    postfix = start(peers.Postfix, certificate=certificate)
    subprocess.run(
        ["swaks", "--server", f"{postfix.address}:{postfix.port}", "--tls",
         "--from", "kim@example.kr", "--to", "lee@postfix.test", "--body", "Hello from swaks"],
        check=True, capture_output=True)
    [message] = postfix.wait_messages("lee@postfix.test")
    assert b"Hello from swaks" in message
    assert b"using TLSv1" in message


@pytest.mark.root
def test_postfix_refuses_to_relay(start):
    postfix = start(peers.Postfix)
    with smtp.Client(postfix.address, postfix.port) as client:
        client.ehlo()
        assert client.mail("kim@example.kr").code == 250
        assert client.rcpt("lee@elsewhere.test").code == 554


def test_dovecot_takes_lmtp(start):
    dovecot = start(peers.Dovecot, {"kim@example.kr": "secret"})
    with smtp.Client(dovecot.address, dovecot.port) as client:
        client.ehlo(verb="LHLO")
        reply = client.deliver("lee@example.kr", "kim@example.kr", smtp.text_message())
        assert reply.code == 250, reply
    [message] = dovecot.wait_messages("kim@example.kr")
    assert b"Hello." in message
    with smtp.Client(dovecot.lmtp) as client:
        client.ehlo(verb="LHLO")
        assert client.mail("lee@example.kr").code == 250
        assert client.rcpt("nobody@example.kr").code == 550


def dovecot_auth(path, user, password):
    """One PLAIN exchange of the Dovecot authentication protocol; the answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        answers = s.makefile("r")
        s.sendall(b"VERSION\t1\t2\nCPID\t4711\n")
        while not answers.readline().startswith("DONE"):
            pass
        words = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        s.sendall(f"AUTH\t1\tPLAIN\tservice=smtp\tresp={words}\n".encode())
        return answers.readline().split("\t")[0]


def test_dovecot_checks_passwords(start):
    dovecot = start(peers.Dovecot, {"kim@example.kr": "secret"})
    assert dovecot_auth(dovecot.auth, "kim@example.kr", "secret") == "OK"
    assert dovecot_auth(dovecot.auth, "kim@example.kr", "wrong") == "FAIL"
    dovecot.stop()
    dovecot.start()
    assert dovecot_auth(dovecot.auth, "kim@example.kr", "secret") == "OK"


@pytest.mark.root
def test_postfix_asks_dovecot(start, certificate):
    dovecot = start(peers.Dovecot, {"kim@example.kr": "secret"})
    postfix = start(peers.Postfix, sasl=dovecot.auth, certificate=certificate)
    with smtp.Client(postfix.address, postfix.port) as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        assert client.auth_plain("kim@example.kr", "wrong").code == 535
        assert client.auth_plain("kim@example.kr", "secret").code == 235


def test_sink_counts_and_follows_its_script(start, certificate):
    with sink.Sink(certificate=certificate, users={"kim": "secret"}) as server:
        server.answer("RCPT", "451 4.2.0 later", match="lee@", times=1)
        with smtp.Client(server.address, server.port) as client:
            client.ehlo()
            assert client.starttls().code == 220
            assert "STARTTLS" not in client.ehlo().text
            assert client.auth_plain("kim", "wrong").code == 535
            assert client.auth_login("kim", "secret").code == 235
            message = smtp.text_message(text="..\r\n.\r\nend\r\n", message_id="<1@test>")
            assert client.deliver("kim@a.test", "lee@b.test", message).code == 451
            assert client.deliver("kim@a.test", "lee@b.test", message).code == 250
            client.mail("kim@a.test")
            client.rcpt("lee@b.test")
            client.bdat(message[:10], last=False)
            assert client.bdat(message[10:]).code == 250
            server.answer("DATA-END", "CLOSE")
            with pytest.raises(smtp.Closed):
                client.deliver("kim@a.test", "lee@b.test", message)
        taken = server.wait(messages=2)
        assert [m.body for m in taken] == [message, message]
        assert taken[0].tls and taken[0].account == "kim"
        assert server.ids() == {"<1@test>": 2}


def test_lmtp_sink_answers_each_recipient(start):
    with sink.Sink(lmtp=True) as server:
        server.answer("DATA-END", "550 5.2.2 full", match="lee@")
        with smtp.Client(server.address, server.port) as client:
            client.ehlo(verb="LHLO")
            client.mail("kim@a.test")
            client.rcpt("kim@b.test")
            client.rcpt("lee@b.test")
            assert client.data(smtp.stuff(smtp.text_message())).code == 250
            assert client.reply().code == 550
        assert server.wait(messages=1)[0].recipients == ["kim@b.test"]


def test_certificates_hold(ca, certificate):
    """A client that checks names accepts ours and refuses another's."""
    with sink.Sink(certificate=certificate) as server:
        with smtp.Client(server.address, server.port) as client:
            client.ehlo()
            assert client.starttls(ca.client_context()).code == 220
        with smtp.Client(server.address, server.port, hostname="other.example") as client:
            client.ehlo()
            with pytest.raises(tls.ssl.SSLCertVerificationError):
                client.starttls(ca.client_context())
