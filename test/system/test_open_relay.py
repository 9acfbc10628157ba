# SPDX-License-Identifier: ISC
"""Nobody relays through us: every form of a recipient that is known to be tried,
against the real server, over IPv4 and IPv6, and nothing comes out of it."""

import re
import subprocess

import pytest

from pabal import peers, plugin, server, sink, smtp

ELSEWHERE = "elsewhere.test"

MORE = """\
clients { "198.51.100.0/24" relay }
limits { connections-address 50 }
server "mx" { max-errors 10000 max-messages 10000 listen "$listen_mx" listen "$listen6_mx" }
server "offer" { max-errors 10000 max-messages 10000 auth offer
  listen "$listen_offer" listen "$listen6_offer" }
server "submission" { max-errors 10000 max-messages 10000 require { tls auth }
  listen "$listen_submission" listen "$listen6_submission" }
server "submissions" { max-errors 10000 max-messages 10000 require { auth }
  listen "$listen_submissions" tls implicit listen "$listen6_submissions" tls implicit
  listen "127.0.0.1:465" tls implicit listen "[::1]:465" tls implicit }
"""
CONFIG = re.sub(r'(?m)^server .*\n', "", server.USUAL) + MORE

# What is ours in another dress: taken, and delivered here.
OURS = [
    "<kim@example.kr>",
    "<KIM@Example.KR>",
    "<kim@example.kr.>",
    '<"kim"@example.kr>',
    '<"k\\im"@example.kr>',
    "<@elsewhere.test:kim@example.kr>",
    "<@[192.0.2.99],@elsewhere.test:kim@example.kr>",
]

# The same name once IDNA has mapped it: ours too. Need SMTPUTF8.
OURS_UTF8 = [
    "<kim@\uff45xample.kr>",        # full-width letter
    "<kim@example\u3002kr>",        # ideographic full stop
    "<kim@exam\u00adple.kr>",       # soft hyphen
    "<kim@example.kr\u200b>",       # zero-width space
]

# $own is our end of the connection as a literal, $name our host name.
REFUSED = [
    # nmap's smtp-open-relay
    "<relay@elsewhere.test>",
    "<relay%elsewhere.test@$own>",
    "<relay%elsewhere.test@$name>",
    '<"relay@elsewhere.test">',
    '<"relay%elsewhere.test">',
    "<relay@elsewhere.test@$own>",
    '<"relay@elsewhere.test"@$own>',
    "<relay@elsewhere.test@$name>",
    "<@$own:relay@elsewhere.test>",
    "<@$name:relay@elsewhere.test>",
    "<elsewhere.test!relay>",
    "<elsewhere.test!relay@$own>",
    "<elsewhere.test!relay@$name>",
    # plain
    "<relay@elsewhere.test.>",
    '<"relay"@elsewhere.test>',
    "<kim@sub.example.kr>",
    "<kim@notexample.kr>",
    "<kim@example.kr.elsewhere.test>",
    "<postmaster@elsewhere.test>",
    "<abuse@elsewhere.test>",
    "<kim@$name>",
    "<root@localhost>",
    "<root@localhost.>",
    "relay@elsewhere.test",
    "<relay@elsewhere.test",
    "relay@elsewhere.test>",
    "<<relay@elsewhere.test>>",
    "Relay <relay@elsewhere.test>",
    # percent
    "<relay%elsewhere.test@example.kr>",
    '<"relay%elsewhere.test"@example.kr>',
    "<relay%elsewhere.test%other.test@example.kr>",
    "<relay%elsewhere.test%@example.kr>",
    '<"relay%elsewhere.test."@example.kr>',
    "<relay%elsewhere.test>",
    "<kim%example.kr@elsewhere.test>",
    '<"relay%[192.0.2.25]"@example.kr>',
    # bang
    "<elsewhere.test!relay@example.kr>",
    '<"elsewhere.test!relay"@example.kr>',
    "<other.test!elsewhere.test!relay@example.kr>",
    "<elsewhere.test!relay%other.test@example.kr>",
    "<example.kr!kim@elsewhere.test>",
    # quoted local parts with another address in them
    '<"relay@elsewhere.test"@example.kr>',
    '<"relay@elsewhere.test."@example.kr>',
    '<"relay@elsewhere.test "@example.kr>',
    '<" relay@elsewhere.test"@example.kr>',
    '<"<relay@elsewhere.test>"@example.kr>',
    '<"\\"relay@elsewhere.test\\""@example.kr>',
    '<"\\"relay\\"@elsewhere.test"@example.kr>',
    '<"\\"\\\\\\"relay\\\\\\"@elsewhere.test\\""@example.kr>',
    '<"relay\\@elsewhere.test"@example.kr>',
    '<"@elsewhere.test:relay"@example.kr>',
    '<"@other.test:relay@elsewhere.test"@example.kr>',
    '<"relay"@elsewhere.test@example.kr>',
    '<"relay@elsewhere.test>\r\nRCPT TO:<kim"@example.kr>'.replace("\r\n", "\\r\\n"),
    '<"relay@elsewhere.test,kim"@example.kr>',
    '<"kim@example.kr"@elsewhere.test>',
    '<"kim@example.kr>"@elsewhere.test>',
    # source routes lead to the last address, whose domain counts
    "<@example.kr:relay@elsewhere.test>",
    "<@example.kr,@$name:relay@elsewhere.test>",
    "<@example.kr:@elsewhere.test:relay>",
    "<@elsewhere.test@example.kr>",
    "<@elsewhere.test,kim@example.kr>",
    "<@elsewhere.test:postmaster>",
    "<@elsewhere.test:relay%other.test@example.kr>",
    # address literals: of ourselves, of others, and numbers that look like one
    "<relay@$own>",
    "<kim@$own>",
    "<kim@[127.0.0.1]>",
    "<kim@[127.1.2.3]>",
    "<kim@[0.0.0.0]>",
    "<kim@[IPv6:::]>",
    "<kim@[IPv6:::1]>",
    "<kim@[IPv6:::ffff:127.0.0.1]>",
    "<kim@[::1]>",
    "<relay@[192.0.2.25]>",
    "<relay@[IPv6:2001:db8::25]>",
    "<postmaster@[192.0.2.25]>",
    "<relay@192.0.2.25>",
    "<kim@127.0.0.1>",
    "<relay@[3221225999]>",
    "<relay@[0xC0000219]>",
    "<relay@[elsewhere.test]>",
    "<relay@[x-tag:elsewhere.test]>",
    # two addresses in one
    "<kim@example.kr,relay@elsewhere.test>",
    "<kim@example.kr relay@elsewhere.test>",
    "<kim@example.kr;relay@elsewhere.test>",
    "<kim@example.kr:relay@elsewhere.test>",
    "<kim@example.kr><relay@elsewhere.test>",
    "<kim@example.kr>,<relay@elsewhere.test>",
    "<kim@example.kr> <relay@elsewhere.test>",
    "<relay@elsewhere.test> <kim@example.kr>",
    # not there at all
    "<>", "<@>", "<@example.kr>", "<kim@>", "<kim@.>", "<kim>", "<.@example.kr>", "",
    "<nobody@example.kr>",
]

REFUSED_UTF8 = [
    "<kim@\u0435xample.kr>",                         # Cyrillic letter
    "<kim@ex\u0430mple.kr>",
    "<kim@example.\u043ar>",
    "<kim@example\u2024kr>",                         # one dot leader
    "<kim@example.kr\u3002elsewhere.test>",
    "<relay@elsewhere\u3002test>",
    "<relay@\uff45lsewhere.test>",
    "<relay\uff20elsewhere.test@example.kr>",        # full-width @
    "<relay\uff05elsewhere.test@example.kr>",        # full-width %
    "<elsewhere.test\uff01relay@example.kr>",        # full-width !
    "<relay@elsewhere.test\uff20example.kr>",
    '<"relay@elsewhere.test\u3002"@example.kr>',
    "<k\u0456m@example.kr>",                         # a local part that only looks like kim
    "<kim@\u202eexample.kr>",                        # right-to-left override
]

SENDERS = ["<>", "<spam@elsewhere.test>", "<kim@example.kr>", "<spam@$own>", "<spam@$name>"]


@pytest.fixture(scope="module")
def house(make_folder, certificate):
    """(server, sink): whatever went out, to any domain and any address, would
    arrive at the sink."""
    if not peers.have_peers():
        plugin.missing("the peers are not unpacked: ./dev test does it")
    folder = make_folder("relay")
    zone = "@ MX 10 mx.test.\n* MX 10 mx.test.\n*.com MX 10 mx.test."
    zones = {"test": zone + "\nmx A 192.0.2.25\nmx AAAA 2001:db8::25",
             "kr": zone, "localhost": zone}
    with peers.Knot(folder, zones) as knot, sink.Sink(address="::", port=25) as outside:
        running = server.Pabal(folder, CONFIG, certificate=certificate, dns=knot.server)
        try:
            running.account("kim@example.kr", "secret")
            yield running, outside
        finally:
            running.stop()


def connect(running, name, family, login=False, **words):
    key = f"6:{name}" if family == "IPv6" else name
    address, port = running.listeners[key]
    client = smtp.Client(address, port, implicit=name == "submissions", **words)
    client.ehlo()
    if "STARTTLS" in client.extensions and name != "mx":
        client.starttls()
        client.ehlo()
    if login:
        assert client.auth_plain("kim@example.kr", "secret").code == 235
    return client


def fill(form, family):
    own = "[IPv6:::1]" if family == "IPv6" else "[127.0.0.1]"
    return form.replace("$own", own).replace("$name", "mail.example.kr")


def try_all(client, family, forms, parameters=""):
    """(sender, recipient, reply to MAIL, reply to RCPT) of each pair, pipelined."""
    rows = [(fill(s, family), fill(f, family)) for s in SENDERS for f in forms]
    for start in range(0, len(rows), 100):
        part = rows[start:start + 100]
        client.send("".join(f"MAIL FROM:{s}{parameters}\r\nRCPT TO:{r}\r\nRSET\r\n"
                            for s, r in part).encode())
        for s, r in part:
            mail, rcpt, rset = client.reply(), client.reply(), client.reply()
            assert rset.code == 250, rset
            yield s, r, mail, rcpt


FAMILIES = ["IPv4", "IPv6"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["mx", "offer"])
def test_no_form_relays(house, name, family):
    running, outside = house
    with connect(running, name, family) as client:
        seen = list(try_all(client, family, REFUSED))
        seen += list(try_all(client, family, REFUSED_UTF8, " SMTPUTF8"))
        wrong = [(s, r, str(mail), str(rcpt)) for s, r, mail, rcpt in seen
                 if mail.code != 250 or rcpt.code // 100 != 5]
        assert not wrong
        assert client.command("DATA").code == 503, "nothing was begun"
    assert not outside.messages


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["submission", "submissions"])
def test_submission_takes_nothing_without_login(house, name, family):
    running, outside = house
    with connect(running, name, family) as client:
        forms = REFUSED + OURS + ["<postmaster>"]
        for sender, recipient, mail, rcpt in try_all(client, family, forms):
            assert mail.code == 530, (sender, mail)
            assert rcpt.code in (503, 530, 501), (recipient, rcpt)
        assert client.command("DATA").code == 503
    assert not outside.messages


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_ours_stays_here(house, family):
    running, outside = house
    before = len(running.messages("kim@example.kr"))
    with connect(running, "mx", family) as client:
        for form in OURS + OURS_UTF8:
            assert client.command("MAIL FROM:<spam@elsewhere.test> SMTPUTF8").code == 250
            reply = client.command(f"RCPT TO:{form}")
            assert reply.code == 250, (form, reply)
            assert client.data(smtp.text_message()).code == 250
    running.wait_messages("kim@example.kr", before + len(OURS + OURS_UTF8))
    assert not outside.messages


def test_a_network_relays_on_mx_only(house):
    """`clients ... relay` counts where no login is required, and nowhere else."""
    running, outside = house
    for name in ("submission", "submissions"):
        with connect(running, name, "IPv4", source="198.51.100.9") as client:
            assert client.mail("spam@elsewhere.test").code == 530
            assert client.rcpt("relay@elsewhere.test").code in (503, 530)
    with connect(running, "mx", "IPv4", source="203.0.113.9") as client:
        client.mail("spam@elsewhere.test")
        assert client.rcpt("relay@elsewhere.test").code == 550
    assert not outside.messages


def test_who_may_relay_may(house):
    """The table above means nothing unless mail could have come out."""
    running, outside = house
    with connect(running, "mx", "IPv4", source="198.51.100.9") as client:
        reply = client.deliver("spam@elsewhere.test", "net@elsewhere.test", smtp.text_message())
        assert reply.code == 250, reply
    for name in ("offer", "submission", "submissions"):
        with connect(running, name, "IPv6", login=True) as client:
            reply = client.deliver("kim@example.kr", f"{name}@elsewhere.test",
                                   smtp.text_message())
            assert reply.code == 250, reply
    messages = outside.wait(messages=4)
    came = sorted(r for m in messages for r in m.recipients)
    assert came == [f"{n}@elsewhere.test" for n in ("net", "offer", "submission", "submissions")]
    outside.messages.clear()


@pytest.mark.parametrize("family", FAMILIES)
def test_nmap_finds_no_open_relay(house, family):
    running, outside = house
    # The script knows by its number that 465 begins with TLS.
    ports = [465] + [running.listeners[f"6:{n}" if family == "IPv6" else n][1]
                     for n in ("mx", "submission")]
    done = subprocess.run(
        ["nmap", "-n", "-Pn", "-sT", "-v", *(["-6"] if family == "IPv6" else []),
         "-p", ",".join(map(str, ports)), "--script", "+smtp-open-relay",
         "--script-args", f"smtp-open-relay.domain={ELSEWHERE}",
         "::1" if family == "IPv6" else "127.0.0.1"],
        capture_output=True, text=True, timeout=120)
    said = re.findall(r"smtp-open-relay: *(.*)", done.stdout)
    assert said, done.stdout + done.stderr
    assert not [line for line in said if "is an open relay" in line], done.stdout
    assert "MAIL FROM" not in done.stdout, done.stdout
    assert any("doesn't seem to be an open relay" in line for line in said), done.stdout
    assert not outside.messages
