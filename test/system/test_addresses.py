# SPDX-License-Identifier: ISC
"""Where addresses lead (aliases of the store and of files, catch-all, domain
aliases, subaddresses, loops, lists with an owner), and who may send as whom."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pabal import server, smtp, wait

CONFIG = server.USUAL.replace('domains { "example.kr" }', 'domains { "example.kr" "example.org" }').replace(
    'deliver {', 'aliases "$folder/aliases"\ndeliver { separator "+-" ').replace(
    'server "mx" {', 'clients { "127.0.0.0/8" relay senders { "example.kr" } }\nserver "mx" {') + """\
route "gone.test" { smtp "127.0.0.1:9" }
server "relaxed" { listen "$listen_relaxed" require { tls auth } senders relaxed }
server "open" { listen "$listen_open" require { tls auth } senders any }
"""

ALIASES = """\
# as sendmail has them
Help: kim, lee@example.kr
team: help,
\tpark@example.kr
round: goes
goes: round
shell: "|/bin/cat"
"""


@pytest.fixture(scope="module")
def pabal(certificate):
    with tempfile.TemporaryDirectory(prefix="addresses.", dir=os.environ.get("PABAL_TEST_FOLDER"),
                                     ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        made = server.Pabal(folder, CONFIG, certificate=certificate, start=False)
        (made.folder / "aliases").write_text(ALIASES)
        made.start()
        with made:
            for name in ("kim", "lee", "park"):
                made.account(f"{name}@example.kr", "secret")
            yield made


def explain(pabal, address):
    lines = pabal.run("address", "explain", address, "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    return sorted((row["end"], row["address"]) for row in found if "end" in row), found


# ---- where mail goes

def boxes(pabal, subject):
    """The accounts whose mailbox has the message itself, not a report with it."""
    return [name for name in ("kim", "lee", "park")
            for message in pabal.messages(f"{name}@example.kr") if subject.encode() in message and not message.startswith(b"Return-Path: <>")]


def deliver(pabal, recipient, expected, subject):
    with pabal.client() as client:
        client.ehlo()
        reply = client.deliver("kim@example.kr", recipient,
                               smtp.text_message("kim@example.kr", subject=subject))
    assert reply.code == 250, reply
    wait.until(lambda: boxes(pabal, subject) == expected, 20, f"{subject} for {expected}")


def test_aliases_lead_to_mailboxes(pabal):
    pabal.run("address", "add", "sales@example.kr", "kim", "park@example.kr")
    pabal.run("address", "add", "@example.org", "lee@example.kr")
    deliver(pabal, "sales@example.kr", ["kim", "park"], "for-sales")
    deliver(pabal, "Sales-x@example.kr", ["kim", "park"], "for-sales-x")
    deliver(pabal, "whoever@example.org", ["lee"], "for-the-rest")
    deliver(pabal, "kim+news@example.kr", ["kim"], "for-a-detail")
    deliver(pabal, "help@example.kr", ["kim", "lee"], "for-help")
    deliver(pabal, "TEAM@example.kr", ["kim", "lee", "park"], "for-team")
    assert pabal.queue() == []
    pabal.run("address", "remove", "@example.org")
    pabal.run("domain", "alias", "add", "example.org", "example.kr")
    deliver(pabal, "park@example.org", ["park"], "for-a-domain-alias")
    with pabal.client() as client:
        client.ehlo()
        assert client.mail("kim@example.kr").code == 250
        assert client.rcpt("whoever@example.org").code == 550
    pabal.run("domain", "alias", "remove", "example.org")


def test_explain_tells_each_step(pabal):
    ends, found = explain(pabal, "team@example.kr")
    assert ends == [("mailbox", f"{name}@example.kr") for name in ("kim", "lee", "park")]
    steps = [row for row in found if "step" in row]
    assert steps[0]["step"] == "alias" and steps[0]["where"].endswith("/aliases:3"), steps
    text = pabal.run("address", "explain", "team@example.kr").stdout
    assert "team@example.kr: alias -> help, park@example.kr (" in text, text
    assert "=> mailbox park@example.kr" in text
    text = pabal.run("address", "explain", "kim+a@example.kr").stdout
    assert "=> mailbox kim@example.kr, detail a" in text
    ends, _ = explain(pabal, "shell@example.kr")
    assert [end for end, _ in ends] == ["error"], "aliases-programs is no"


def test_a_changed_file_is_in_force(pabal):
    deliver(pabal, "help@example.kr", ["kim", "lee"], "before-the-change")
    (pabal.folder / "aliases").write_text(ALIASES.replace("Help: kim, ", "Help: park@example.kr, "))
    wait.until(lambda: ("mailbox", "park@example.kr") in explain(pabal, "help@example.kr")[0], 20,
               "the new aliases")
    deliver(pabal, "help@example.kr", ["lee", "park"], "after-the-change")
    (pabal.folder / "aliases").write_text(ALIASES)
    wait.until(lambda: ("mailbox", "kim@example.kr") in explain(pabal, "help@example.kr")[0], 20,
               "the old aliases")


def test_a_loop_is_refused_and_reported(pabal):
    assert "=> 5.4.6" in pabal.run("address", "explain", "round@example.kr").stdout
    with pabal.client() as client:
        client.ehlo()
        assert client.mail("kim@example.kr").code == 250
        reply = client.rcpt("round@example.kr")
        assert reply.code == 550 and "5.4.6 recipient-nowhere" in str(reply), reply
    # One that closes while the mail waits is told to the sender.
    pabal.run("address", "add", "later@example.kr", "lee@gone.test")
    with pabal.session() as client:
        reply = client.deliver("kim@example.kr", "later@example.kr", smtp.text_message(subject="turns-round"))
        assert reply.code == 250, reply
    wait.until(lambda: any(row["tries"] for row in pabal.queue()), 30, "a first try")
    pabal.run("address", "add", "later2@example.kr", "later@example.kr")
    pabal.run("address", "add", "later@example.kr", "later2@example.kr")
    pabal.run("address", "remove", "later@example.kr", "lee@gone.test")
    before = len(pabal.messages("kim@example.kr"))
    pabal.run("queue", "retry", "--all")
    report = pabal.wait_messages("kim@example.kr", before + 1)
    assert any(b"Status: 5.4.6" in m and b"rfc822; later@example.kr" in m for m in report)
    for name in ("later", "later2"):
        pabal.run("address", "remove", f"{name}@example.kr")


def test_a_list_reports_to_its_owner(pabal):
    pabal.run("address", "add", "news@example.kr", "kim", "nobody")
    pabal.run("address", "add", "owner-news@example.kr", "park")
    before = len(pabal.messages("park@example.kr"))
    deliver(pabal, "news@example.kr", ["kim"], "for-the-list")
    report = pabal.wait_messages("park@example.kr", before + 1)
    assert any(b"nobody@example.kr" in m and b"Status: 5.1.1" in m for m in report)
    [got] = [m for m in pabal.messages("kim@example.kr") if b"for-the-list" in m]
    assert got.startswith(b"Return-Path: <owner-news@example.kr>"), got[:200]
    for name in ("news", "owner-news"):
        pabal.run("address", "remove", f"{name}@example.kr")


def test_a_list_whose_file_cannot_be_read_waits(pabal):
    """Nobody knows whom it names: it is deferred, not said to be no address, and nobody gets half."""
    members = pabal.folder / "members"
    members.write_text("lee\n")
    (pabal.folder / "aliases").write_text(ALIASES + f"members: kim, :include:{members}\nouter: park, members\n")

    def code(name):
        with pabal.client() as client:
            client.ehlo()
            client.mail("kim@example.kr")
            return client.rcpt(f"{name}@example.kr").code
    wait.until(lambda: code("outer") == 250, 10, "the new aliases")
    members.unlink()
    wait.until(lambda: code("members") != 250, 10, "the file's absence")
    assert (code("members"), code("outer")) == (451, 451)
    assert "4.2.4" in pabal.run("address", "explain", "outer@example.kr").stdout
    members.write_text("lee\n")
    wait.until(lambda: code("outer") == 250, 10, "the file")
    deliver(pabal, "outer@example.kr", ["kim", "lee", "park"], "for-members")
    (pabal.folder / "aliases").write_text(ALIASES)
    wait.until(lambda: code("outer") == 550, 10, "the old aliases")


def test_what_an_expansion_makes_cannot_be_said_from_outside(pabal):
    with pabal.client() as client:
        client.ehlo()
        client.mail("kim@example.kr")
        for recipient in ('"\\\\kim"@example.kr', '"\\|id"@example.kr', '"/etc/passwd"@example.kr'):
            assert client.rcpt(recipient).code == 550, recipient


def test_commands_say_what_is_wrong(pabal):
    for words, said in ((["address", "add", "kim@example.kr", "lee"], "is an account"),
                        (["address", "add", "x@elsewhere.test", "lee"], "not a domain of this server"),
                        (["address", "add", "x@example.kr", "|/bin/cat"], "aliases-programs"),
                        (["address", "add", "x@example.kr", "a b"], "is no address"),
                        (["address", "show", "x@example.kr"], "there is no alias"),
                        (["address", "remove", "x@example.kr"], "there is no alias"),
                        (["domain", "alias", "add", "example.kr", "example.kr"], "no alias of itself"),
                        (["account", "send-as", "kim", "add", "nobody"], "as whom?"),
                        (["account", "send-as", "nobody", "add", "x@example.kr"], "there is no account")):
        done = pabal.run(*words, check=False)
        assert done.returncode == 1 and said in done.stderr, (words, done.stderr)
    assert pabal.run("address", "add", check=False).returncode == 64


# ---- who may send as whom

def header(*lines):
    return ("\r\n".join(lines) + "\r\n\r\nx\r\n").encode()


def test_mail_from_is_ones_own(pabal):
    pabal.run("address", "add", "kim.lee@example.kr", "kim")
    with pabal.session() as client:
        for sender, code in (("kim@example.kr", 250), ("KIM@Example.KR", 250), ("kim+x@example.kr", 250),
                             ("kim.lee@example.kr", 250), ("lee@example.kr", 553), ("help@example.kr", 553),
                             ("kim@example.com", 553), ("", 553), ('"kim"@example.kr', 250)):
            reply = client.mail(sender)
            assert reply.code == code, (sender, reply)
            client.command("RSET")
        reply = client.mail("lee@example.kr")
        assert "5.7.1 sender-not-yours: <lee@example.kr> is not an address of kim@example.kr" in str(reply)
        assert "send-as kim@example.kr add lee@example.kr" in str(reply)
        assert "null-sender" in str(client.mail(""))
    event = pabal.await_event("refuse", rule="sender-not-yours", account="kim@example.kr")
    assert event["from"] == "lee@example.kr"
    pabal.run("address", "remove", "kim.lee@example.kr")


HEADERS = [
    (["From: kim@example.kr"], 250),
    (["From: Kim <KIM@example.kr>", "Sender: kim+x@example.kr"], 250),
    (["Subject: without From"], 250),
    (['From: "ceo@example.kr" <kim@example.kr>'], 250),
    (["From: =?utf-8?q?ceo=40example=2Ekr?= <kim@example.kr>"], 250),
    (["From: kim@example.kr (ceo@example.kr)"], 250),
    (["From: Staff: kim@example.kr;"], 250),
    (["From:", " \t<kim@example.kr>"], 250),
    (["From: ceo@example.kr"], 553),
    (["From: kim@example.kr", "From: ceo@example.kr"], 553),
    (["From: kim@example.kr, ceo@example.kr"], 553),
    (["From: kim@example.kr", "Sender: ceo@example.kr"], 553),
    (["From: (kim@example.kr) ceo@example.kr"], 553),
    (["From: Kim", " <ceo@", " example.kr>"], 553),
    (["FROM : ceo@example.kr"], 553),
    (["From: ceo@example.kr <kim@example.kr>"], 550),
    (["From: kim"], 550),
]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_header_from_is_ones_own(pabal, way):
    with pabal.session() as client:
        for lines, code in HEADERS:
            assert client.mail("kim@example.kr").code == 250
            assert client.rcpt("lee@example.kr").code == 250
            body = header(*lines)
            reply = client.data(smtp.stuff(body)) if way == "DATA" else client.bdat(body)
            assert reply.code == code, (lines, reply)
            if code == 553:
                assert "<ceo@example.kr>" in str(reply), reply


def test_a_large_one_is_refused_too(pabal):
    """Its body is in the spool when the field is looked at."""
    with pabal.session() as client:
        body = header("From: ceo@example.kr") + b"y" * 70 + b"\r\n"
        body += (b"z" * 70 + b"\r\n") * 3000
        reply = client.deliver("kim@example.kr", "lee@example.kr", body)
        assert reply.code == 553, reply
        assert client.deliver("kim@example.kr", "lee@example.kr",
                              body.replace(b"ceo", b"kim")).code == 250


def test_grants_hold_at_once_and_end_at_once(pabal):
    with pabal.session() as client:
        assert client.mail("boss@example.kr").code == 553
        pabal.run("account", "send-as", "kim", "add", "boss@example.kr")
        assert pabal.run("account", "send-as", "kim", "list").stdout == "boss@example.kr\n"
        assert client.mail("boss@example.kr").code == 250
        client.command("RSET")
        reply = client.deliver("kim@example.kr", "lee@example.kr", header("From: boss@example.kr"))
        assert reply.code == 250, reply
        pabal.run("account", "send-as", "kim", "remove", "boss@example.kr")
        assert client.mail("boss@example.kr").code == 553
        pabal.run("account", "group", "add", "staff")
        pabal.run("account", "set", "lee", "--groups", "staff")
        for word, sender in (("@example.org", "any@example.org"), ("group:staff", "lee@example.kr"),
                             ("<>", "")):
            assert client.mail(sender).code == 553
            pabal.run("account", "send-as", "kim", "add", word)
            assert client.mail(sender).code == 250
            client.command("RSET")
            pabal.run("account", "send-as", "kim", "remove", word)


def test_other_rules_of_a_server(pabal):
    both = header("From: kim@example.kr, lee@example.kr", "Sender: kim@example.kr")
    for name, body, code in (("submission", both, 553), ("relaxed", both, 250),
                             ("relaxed", header("From: lee@example.kr", "Sender: kim@example.kr"), 553),
                             ("open", header("From: ceo@elsewhere.test"), 250)):
        with pabal.session(name=name) as client:
            assert client.deliver("kim@example.kr", "park@example.kr", body).code == code, name
    with pabal.session(name="open") as client:
        assert client.mail("").code == 250


def test_a_client_of_the_world(pabal):
    def curl(sender, head):
        return subprocess.run(
            ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--verbose", "--mail-from",
             sender, "--mail-rcpt", "lee@example.kr", "--upload-file", "-", "--max-time", "60", "--user",
             "kim@example.kr:secret", f"smtp://127.0.0.1:{pabal.port('submission')}/client.example"],
            input=f"{head}\r\nSubject: of curl\r\n\r\nx\r\n", text=True, capture_output=True, timeout=80)
    assert curl("kim@example.kr", "From: Kim <kim@example.kr>").returncode == 0
    done = curl("lee@example.kr", "From: Kim <kim@example.kr>")
    assert done.returncode and "553 5.7.1 sender-not-yours" in done.stderr
    done = curl("kim@example.kr", "From: The Boss <ceo@example.kr>")
    assert done.returncode and "553 5.7.1 sender-not-yours: From: <ceo@example.kr>" in done.stderr


def test_a_network_is_bound_to_its_domains(pabal):
    with pabal.client() as client:
        client.ehlo()
        for sender, code in (("a@example.kr", 250), ("a@example.org", 553), ("a@client.example", 553),
                             ("", 250)):
            reply = client.mail(sender)
            assert reply.code == code, (sender, reply)
            client.command("RSET")
        assert "sender-domain" in str(client.mail("a@example.org"))
        reply = client.deliver("a@example.kr", "lee@example.kr", header("From: a@client.example"))
        assert reply.code == 553 and "From: <a@client.example>" in str(reply), reply
        # behind a line that some readers pass over
        reply = client.deliver("a@example.kr", "lee@example.kr", b"no field\r\n" + header("From: a@client.example"))
        assert reply.code == 550 and "header-from" in str(reply), reply
        assert client.deliver("a@example.kr", "lee@example.kr", header("From: b@example.kr")).code == 250
