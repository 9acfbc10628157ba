# SPDX-License-Identifier: ISC
"""Mail to other hosts: which hosts the DNS names, how they are talked to, and
what becomes of mail that they do not take."""

import re
import shutil
import socket
import ssl

import pytest

from pabal import peers, server, sink, smtp, wait

KIM = "kim@example.kr"
MORE = """\
queue { first-retry 1s max-retry 2s min-free-size 1M min-free-percent 0 }
"""
HOST = "192.0.2.25"


@pytest.fixture
def run(start, certificate):
    """run(zones, more): a server of ours whose world is these zones."""
    def make(zones, more="", **words):
        knot = start(peers.Knot, zones)
        running = start(server.Pabal, certificate=certificate, dns=knot.server,
                        more=MORE + more, **words)
        running.account(KIM, "secret")
        running.knot = knot
        return running
    return make


@pytest.fixture
def trust(ca, folder):
    """The line of a configuration that makes the test's authority a good one."""
    copy = folder / "ca.crt"
    copy.write_bytes(ca.cert.read_bytes())
    copy.chmod(0o644)
    return f'tls {{ ca-file "{copy}" }}\n'


@pytest.fixture
def password_file(folder):
    def make(password):
        path = folder / "smart-password"
        path.write_text(password + "\n")
        path.chmod(0o600)
        if peers.is_root():
            shutil.chown(path, server.PLAIN_USER, server.PLAIN_USER)
        return path
    return make


def submit(running, *recipients, sender=KIM, text="Hello.\r\n", parameters=""):
    """Hands a message in; its Message-ID."""
    message = smtp.text_message(sender, recipients[0], text=text)
    with running.session() as client:
        assert client.mail(sender, parameters).code == 250
        for recipient in recipients:
            assert client.rcpt(recipient).code == 250
        assert client.data(smtp.stuff(message)).code == 250
    return re.search(rb"Message-ID: (<.*>)", message).group(1).decode()


def result(running, recipient, outcome, **fields):
    return running.await_event("result", 30, to=recipient, outcome=outcome, **fields)


def report(running):
    """The text of the only report that came back."""
    [message] = running.wait_messages(KIM)
    assert b"multipart/report" in message
    return message.decode()


# ---- which host

def test_mail_goes_to_the_best_mx_that_answers(run, start):
    """The best refuses connections, the next one is going down, the third takes it."""
    down = start(sink.Sink, "192.0.2.12", 25)
    down.answer("CONNECT", "421 4.3.2 going down")
    good = start(sink.Sink, "192.0.2.13", 25)
    worse = start(sink.Sink, "192.0.2.14", 25)
    running = run({"a.test": "@ MX 10 mx1\n@ MX 20 mx2\n@ MX 30 mx3\n@ MX 40 mx4\n"
                   "mx1 A 192.0.2.11\nmx2 A 192.0.2.12\nmx3 A 192.0.2.13\nmx4 A 192.0.2.14"})
    submit(running, "lee@a.test")
    [message] = good.wait(messages=1)
    assert message.recipients == ["lee@a.test"] and message.helo == "mail.example.kr"
    assert result(running, "lee@a.test", "delivered")["host"] == "mx3.a.test [192.0.2.13]"
    assert down.connections == 1 and worse.connections == 0


def test_a_domain_without_mx_takes_mail_at_its_address(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": f"@ A {HOST}"})
    submit(running, "lee@a.test")
    host.wait(messages=1)


def test_mail_goes_over_ipv6_and_falls_back_to_ipv4(run, start):
    six = start(sink.Sink, "::1", 25)
    four = start(sink.Sink, HOST, 25)
    running = run({"six.test": "@ MX 10 mx\nmx AAAA ::1\nmx A 192.0.2.99",
                   "both.test": f"@ MX 10 mx\nmx AAAA 2001:db8::99\nmx A {HOST}"})
    submit(running, "lee@six.test")
    six.wait(messages=1)
    submit(running, "lee@both.test")
    four.wait(messages=1)


def test_an_address_literal_is_an_address(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": ""})
    submit(running, f"lee@[{HOST}]")
    assert host.wait(messages=1)[0].recipients == [f"lee@[{HOST}]"]


@pytest.mark.parametrize("zone, recipient, status, words", [
    ("@ MX 0 .", "lee@a.test", "5.1.10", "null MX"),
    ("@ TXT here", "lee@nowhere.a.test", "5.1.2", "does not exist"),
    ("@ TXT here", "lee@a.test", "5.1.2", "neither MX nor address"),
    ("@ MX 10 nobody", "lee@a.test", "5.4.4", "no host in the MX"),
    ("@ MX 10 mail.example.kr.", "lee@a.test", "5.4.6", "is not in `domains`"),
    (f"@ MX 10 mail.example.kr.\n@ MX 20 mx\nmx A {HOST}", "lee@a.test", "5.4.6",
     "MX of a.test points to this server"),
])
def test_mail_that_can_go_nowhere_comes_back(run, zone, recipient, status, words):
    running = run({"a.test": zone})
    submit(running, recipient)
    text = report(running)
    assert f"Status: {status}" in text and words in text, text
    assert result(running, recipient, "bounced")["status"] == status


def test_a_backup_mx_sends_only_to_better_ones(run, start):
    better = start(sink.Sink, "192.0.2.12", 25)
    worse = start(sink.Sink, "192.0.2.14", 25)
    better.answer("CONNECT", "421 4.3.2 not now", times=1)
    running = run({"a.test": "@ MX 10 mx1\n@ MX 20 mail.example.kr.\n@ MX 30 mx3\n"
                   "mx1 A 192.0.2.12\nmx3 A 192.0.2.14"})
    submit(running, "lee@a.test")
    better.wait(messages=1)
    assert worse.connections == 0


# ---- the DNS

def test_signed_zones_are_followed_and_forged_ones_are_not(run, start, certificate):
    host = start(sink.Sink, HOST, 25)
    zones = {"good.test": f"@ MX 10 mx\nmx A {HOST}", "bad.test": f"@ MX 10 mx\nmx A {HOST}"}
    knot = start(peers.Knot, zones, signed=list(zones))
    forged = re.sub("[0-9A-Fa-f]{64}", "0123456789abcdef" * 4, knot.ds("bad.test"))
    running = start(server.Pabal, certificate=certificate, dns=knot.server, more=MORE + (
        f'resolver {{ trust-anchor "{knot.ds("good.test")}" "{forged}" }}\n'))
    running.account(KIM, "secret")
    submit(running, "lee@good.test", "lee@bad.test")
    [message] = host.wait(messages=1)
    assert message.recipients == ["lee@good.test"]
    event = result(running, "lee@bad.test", "deferred", status="4.7.0")
    assert "DNSSEC says forged" in event["reason"]


def test_mail_waits_while_the_dns_is_dead(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    running.knot.pause()
    submit(running, "lee@a.test")
    assert result(running, "lee@a.test", "deferred")["status"] == "4.4.3"
    assert host.connections == 0
    running.knot.resume()
    host.wait(messages=1, seconds=60)
    assert not running.messages(KIM)


# ---- talking to a host

def test_each_recipient_has_its_own_answer(run, start):
    host = start(sink.Sink, HOST, 25)
    host.answer("RCPT", "550 5.1.1 who is that", match="nobody@")
    host.answer("RCPT", "451 4.2.0 later", match="later@", times=1)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    submit(running, "lee@a.test", "nobody@a.test", "later@a.test")
    first, second = host.wait(messages=2)
    assert first.recipients == ["lee@a.test"] and second.recipients == ["later@a.test"]
    text = report(running)
    assert "nobody@a.test" in text and "550 5.1.1 who is that" in text
    assert "lee@a.test" not in text.partition("Message-ID")[0].replace("To: lee", "")


@pytest.mark.parametrize("stage, reply", [
    ("CONNECT", "421 4.3.2 no"), ("CONNECT", "CLOSE"), ("EHLO", "CLOSE"), ("MAIL", "451 4.3.0 no"),
    ("RCPT", "451 4.3.0 no"), ("RCPT", "RESET"), ("DATA", "CLOSE"), ("DATA-END", "451 4.3.0 no"),
    ("DATA-END", "421 4.3.0 no"),
])
def test_what_fails_for_now_is_tried_again(run, start, stage, reply):
    host = start(sink.Sink, HOST, 25)
    host.answer(stage, reply, times=1)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    submit(running, "lee@a.test")
    result(running, "lee@a.test", "delivered")
    assert len(host.wait(messages=1)) == 1
    assert not running.messages(KIM)


def test_an_old_host_that_knows_only_helo(run, start):
    host = start(sink.Sink, HOST, 25)
    host.answer("EHLO", "500 5.5.2 what?")
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    submit(running, "lee@a.test")
    host.wait(messages=1)
    assert host.heard("HELO") == ["HELO mail.example.kr"]


def test_large_and_dotted_bodies_arrive_as_they_were(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    dotted = ".\r\n..\r\n.a\r\n\r\n.\r\n"
    large = "".join(f".{n} a line of a large mail\r\n" for n in range(100000))
    submit(running, "lee@a.test", text=dotted)
    submit(running, "lee@a.test", text=large)
    bodies = [m.body.partition(b"\r\n\r\n")[2] for m in host.wait(messages=2)]
    assert sorted(bodies, key=len) == [dotted.encode(), large.encode()]


def test_connections_are_kept_and_end_with_quit(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"},
                  'destination "*" { messages 3 connections 1 }\n')
    for _ in range(7):
        submit(running, "lee@a.test")
    taken = host.wait(messages=7)
    assert [m.connection for m in taken] == [1, 1, 1, 2, 2, 2, 3]
    wait.until(lambda: len(host.heard("QUIT")) == 3, 15, "the last one says QUIT too")


def test_a_kept_connection_that_the_host_closed_is_no_failure(run, start):
    host = start(sink.Sink, HOST, 25)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    submit(running, "lee@a.test")
    host.wait(messages=1)
    host.answer("MAIL", "421 4.4.2 too long idle", times=1)
    submit(running, "lee@a.test")
    host.wait(messages=2)
    assert not running.log.events("result", outcome="deferred")


def test_utf8_addresses_need_a_host_that_knows_them(run, start):
    host = start(sink.Sink, HOST, 25)
    able = start(sink.Sink, "192.0.2.26", 25, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8"))
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}", "b.test": "@ MX 10 mx\nmx A 192.0.2.26"})
    submit(running, "김@b.test", parameters="SMTPUTF8")
    able.wait(messages=1)
    assert "SMTPUTF8" in able.heard("MAIL")[0]
    submit(running, "김@a.test", parameters="SMTPUTF8")
    assert "5.6.7" in report(running)
    assert not host.heard("MAIL")


class Silent:
    """A port whose connections are never answered, as behind a firewall."""

    def __init__(self, address, port=25):
        self.sockets = [socket.socket()]
        self.sockets[0].bind((address, port))
        self.sockets[0].listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self.sockets.append(filler)

    def stop(self):
        for one in self.sockets:
            one.close()


def test_a_provider_that_blocks_port_25_is_named(run, start):
    zones = {}
    for number, name in enumerate(["one.test", "two.example", "three.net"], 41):
        start(Silent, f"192.0.2.{number}")
        zones[name] = f"@ MX 10 mx\nmx A 192.0.2.{number}"
    running = run(zones)
    for name in zones:
        submit(running, f"lee@{name}")
    for name in zones:
        event = running.await_event("result", 60, to=f"lee@{name}", outcome="deferred")
        assert event["status"] == "4.4.1"
    running.await_event("queue", rule="port25-blocked", reason=re.compile("block port 25"))
    assert "port 25" in running.run("status", check=False).stdout


# ---- TLS

def test_tls_is_used_when_offered(run, start, certificate):
    host = start(sink.Sink, HOST, 25, certificate=certificate)
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"})
    submit(running, "lee@a.test")
    assert host.wait(messages=1)[0].tls == "TLSv1.3"
    assert result(running, "lee@a.test", "delivered")["tls"].startswith("TLSv1.3 TLS_")


def test_a_handshake_that_fails_is_followed_by_plain(run, start, certificate):
    host = start(sink.Sink, HOST, 25, certificate=certificate)
    host.context.maximum_version = ssl.TLSVersion.TLSv1_2
    running = run({"a.test": f"@ MX 10 mx\nmx A {HOST}"}, more="tls { min 1.3 }\n")
    submit(running, "lee@a.test")
    [message] = host.wait(messages=1)
    assert not message.tls and host.connections == 2
    event = running.await_event("tls", host=f"mx.a.test [{HOST}]")
    assert "without TLS" in event["status"] and event["reason"]


@pytest.mark.parametrize("tls", ["required", "implicit"])
def test_required_tls_checks_the_certificate(run, start, ca, trust, tls):
    """One host's certificate is for its name, the other's for another."""
    right = start(sink.Sink, HOST, 2500, implicit=tls == "implicit",
                  certificate=ca.issue("mx.a.test", stem="right"))
    wrong = start(sink.Sink, "192.0.2.26", 2500, implicit=tls == "implicit",
                  certificate=ca.issue("other.test", stem="wrong"))
    running = run({"a.test": f"mx A {HOST}", "b.test": "mx A 192.0.2.26"},
                  more=f'route "a.test" {{ smtp "mx.a.test:2500" tls {tls} }}\n'
                  f'route "b.test" {{ smtp "mx.b.test:2500" tls {tls} }}\n'
                  + trust)
    submit(running, "lee@a.test", "lee@b.test")
    assert right.wait(messages=1)[0].recipients == ["lee@a.test"]
    event = result(running, "lee@b.test", "deferred")
    assert event["status"] == "4.7.5" and "certificate" in event["reason"]
    assert not wrong.messages


# ---- routes

def test_smart_host_with_user_and_password(run, start, ca, trust, password_file):
    host = start(sink.Sink, HOST, 587, certificate=ca.issue("smart.a.test"), users={"me": "open-sesame"})
    running = run({"a.test": f"smart A {HOST}"}, trust + f"""\
route "*" {{
	smtp "smart.a.test:587"
	user "me"
	password-file "{password_file("open-sesame")}"
	source "198.51.100.7"
	helo "out.example.kr"
}}
""")
    submit(running, "lee@anywhere.test", "park@elsewhere.test")
    [message] = host.wait(messages=1)
    assert message.recipients == ["lee@anywhere.test", "park@elsewhere.test"]
    assert message.account == "me" and message.tls
    assert message.client == "198.51.100.7" and message.helo == "out.example.kr"


def test_a_wrong_password_for_the_smart_host_keeps_the_mail(run, start, ca, trust, password_file):
    host = start(sink.Sink, HOST, 587, certificate=ca.issue("smart.a.test"), users={"me": "open-sesame"})
    running = run({"a.test": f"smart A {HOST}"}, trust + (
        f'route "*" {{ smtp "smart.a.test:587" user "me" '
        f'password-file "{password_file("shut-sesame")}" }}\n'))
    submit(running, "lee@anywhere.test")
    event = result(running, "lee@anywhere.test", "deferred")
    assert event["status"] == "4.7.8" and event["code"] == "535"
    assert "sesame" not in running.log.text()
    assert not host.messages


def test_a_route_is_for_its_domain_only(run, start):
    by_mx = start(sink.Sink, HOST, 25)
    by_route = start(sink.Sink, "192.0.2.26", 2500)
    running = run({"a.test": f"@ MX 10 mx\n* MX 10 mx\nmx A {HOST}"},
                  'route "*.a.test" { smtp "192.0.2.26:2500" }\n')
    submit(running, "lee@a.test", "park@sub.a.test")
    assert by_mx.wait(messages=1)[0].recipients == ["lee@a.test"]
    assert by_route.wait(messages=1)[0].recipients == ["park@sub.a.test"]


# ---- real peers

@pytest.mark.root
def test_postfix_takes_our_mail_with_tls(run, start, certificate):
    postfix = start(peers.Postfix, address="192.0.2.31", port=25, certificate=certificate)
    running = run({"postfix.test": "@ MX 10 mx\nmx A 192.0.2.31"})
    dotted = ".\r\n..\r\n.a\r\n\r\n.\r\n"
    submit(running, "lee@postfix.test", "park@postfix.test", text=dotted)
    event = result(running, "lee@postfix.test", "delivered")
    assert event["tls"].startswith("TLSv1.3") and event["host"] == "mx.postfix.test [192.0.2.31]"
    [message] = postfix.wait_messages("lee@postfix.test")
    assert b"using TLSv1.3" in message
    assert message.endswith(b"\n\n" + dotted.replace("\r\n", "\n").encode())
    assert len(postfix.wait_messages("park@postfix.test")) == 1


@pytest.mark.root
def test_postfix_refuses_what_is_not_its_own(run, start):
    start(peers.Postfix, address="192.0.2.32", port=25)
    running = run({"other.test": "@ MX 10 mx\nmx A 192.0.2.32"})
    submit(running, "lee@other.test")
    text = report(running)
    assert "554 5.7.1" in text and "Relay access denied" in text


@pytest.mark.root
def test_many_messages_to_postfix_arrive_once_each(run, start, certificate):
    postfix = start(peers.Postfix, address="192.0.2.33", port=25, certificate=certificate)
    running = run({"postfix.test": "@ MX 10 mx\nmx A 192.0.2.33"})
    sent = [submit(running, "lee@postfix.test", text=f"number {n}\r\n") for n in range(60)]
    messages = postfix.wait_messages("lee@postfix.test", 60)
    found = [re.search(rb"Message-ID: (<.*>)", m, re.I).group(1).decode() for m in messages]
    assert sorted(found) == sorted(sent)


@pytest.mark.parametrize("way", ["socket", "host"])
def test_dovecot_takes_our_mail_by_lmtp(run, start, way):
    dovecot = start(peers.Dovecot, {"lee@box.test": "x", "park@box.test": "x"})
    where = str(dovecot.lmtp) if way == "socket" else f"{dovecot.address}:{dovecot.port}"
    running = run({"a.test": ""}, f'route "box.test" {{ lmtp "{where}" }}\n')
    submit(running, "lee@box.test", "nobody@box.test", "park@box.test")
    [message] = dovecot.wait_messages("lee@box.test")
    assert b"Hello." in message
    assert len(dovecot.wait_messages("park@box.test")) == 1
    text = report(running)
    assert "nobody@box.test" in text and "550 5.1.1" in text
    submit(running, "lee@box.test")
    dovecot.wait_messages("lee@box.test", 2)


@pytest.mark.parametrize("recipients", ["", "recipients any"], ids=["accounts", "any"])
def test_dovecot_knows_who_exists_in_a_domain_of_ours(run, start, recipients):
    """With `any` whoever Dovecot knows gets mail, and for others it is asked too late
    to refuse them at RCPT: their sender gets a report."""
    dovecot = start(peers.Dovecot, {"lee@box.test": "x", "park@box.test": "x"})
    running = run({"a.test": ""}, f'domains {{ "box.test" }}\n'
                                  f'route "box.test" {{ lmtp "{dovecot.lmtp}" {recipients} }}\n')
    running.account("park@box.test", "secret")
    known = ["park@box.test"] + (["lee@box.test"] if recipients else [])
    with running.client() as client:
        client.ehlo()
        assert client.mail(KIM).code == 250
        replies = {to: client.rcpt(to) for to in ("park@box.test", "Lee@Box.test", "nobody@box.test")}
        assert client.rcpt("lee@other.test").code == 550, "no relay for others"
        assert client.data(smtp.text_message()).code == 250
    for to in known:
        [message] = dovecot.wait_messages(to)
        assert b"Hello." in message
    if recipients:
        assert [r.code for r in replies.values()] == [250] * 3
        text = report(running)
        assert "nobody@box.test" in text and "550 5.1.1" in text
    else:
        assert [(r.code, r.enhanced) for r in replies.values()] == [
            (250, "2.1.5"), (550, "5.1.1"), (550, "5.1.1")]
    # The postmaster of that domain is the one of the setting.
    with running.client() as client:
        client.ehlo()
        assert client.deliver("x@elsewhere.test", "postmaster@box.test",
                              smtp.text_message(text="who is there?\r\n")).code == 250
    running.wait_messages(KIM, 2 if recipients else 1)


def test_mail_waits_for_an_lmtp_server_that_is_down(run, start):
    dovecot = start(peers.Dovecot, {"lee@box.test": "x"})
    running = run({"a.test": ""}, f'route "box.test" {{ lmtp "{dovecot.lmtp}" }}\n')
    dovecot.stop()
    submit(running, "lee@box.test")
    event = result(running, "lee@box.test", "deferred")
    assert event["status"] == "4.4.1" and event["host"] == str(dovecot.lmtp)
    dovecot.start()
    dovecot.wait_messages("lee@box.test", seconds=60)
