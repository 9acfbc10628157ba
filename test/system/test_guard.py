# SPDX-License-Identifier: ISC
"""An account is stolen, and a client that may relay has a worm: what goes out,
what is held, who is told, and what an administrator does about it."""

import email
import json
import time

import pytest

from pabal import control, server, sink, smtp, wait

CONFIG = server.USUAL + """\
clients { "192.0.2.0/24" relay }
queue { first-retry 1h max-retry 1h }
max-messages 1000
guard { learn 0s delay 100ms }
route "*" { smtp "127.0.0.1:$sink_port" tls never }
"""

# Mails that may be out before the first is held: test/guard measures it exactly.
OUT = 50


@pytest.fixture(scope="module")
def next_hop():
    with sink.Sink() as one:
        yield one


@pytest.fixture(scope="module")
def pabal(make_folder, certificate, next_hop):
    folder = make_folder("guard")
    with server.Pabal(folder, CONFIG, certificate=certificate, sink_port=next_hop.port) as running:
        for name in "kim", "thief1", "thief2", "list", "park":
            running.account(f"{name}@example.kr", "secret")
        yield running


def burst(client, sender, count, prefix, until=None):
    """Sends one message each to strangers; how many were taken, and the last reply."""
    for number in range(count):
        reply = client.mail(sender)
        if reply.code == 250:
            reply = client.rcpt(f"{prefix}{number}@victim.test")
        if reply.code == 250:
            reply = client.data(smtp.text_message(sender, recipient="you", subject=prefix))
        if reply.code != 250:
            return number, reply
    return count, reply


def recipients(next_hop, prefix):
    return [r for m in next_hop.messages for r in m.recipients if prefix in str(r)]


def held(pabal, account):
    return [row for row in control.queue(pabal, "--account", account, "--state", "held", "--limit", "1000")]


def guarded(pabal, who):
    rows = [row for row in control.rows(pabal, "guard", "list") if row["subject"].endswith(who)]
    return rows[0] if rows else None


def mails(pabal, mailbox):
    return [email.message_from_bytes(octets) for octets in pabal.messages(mailbox)]


def mails_about(pabal, mailbox, who):
    return [m for m in mails(pabal, mailbox) if who in m.get("Subject", "")]


def test_a_stolen_account_is_slowed_held_and_suspended(pabal, next_hop):
    began = time.monotonic()
    with pabal.session("thief1@example.kr") as client:
        taken, reply = burst(client, "thief1@example.kr", 200, "spam")
    assert reply.code == 550 and "guard-suspended" in reply.text, reply
    assert 50 <= taken <= 150
    assert time.monotonic() - began < 60
    out = len(recipients(next_hop, "spam"))
    waiting = held(pabal, "thief1@example.kr")
    assert waiting and all(row["hold_reason"].startswith("guard") for row in waiting)
    wait.until(lambda: len(recipients(next_hop, "spam")) + len(held(pabal, "thief1@example.kr")) == taken,
               10, "what was taken went out or is held")
    out = len(recipients(next_hop, "spam"))
    assert out <= OUT, out
    incident = guarded(pabal, "thief1@example.kr")
    assert incident["action"] == "suspend"
    signals = {reason["signal"] for reason in incident["evidence"]["reasons"]}
    assert "new-recipients" in signals
    account = control.rows(pabal, "account", "show", "thief1@example.kr")[0]
    assert account["state"] == "locked" and account["lock"].startswith("guard")
    # each step was told
    steps = [e["action"] for e in pabal.log.events("guard", account="thief1@example.kr")]
    assert steps == ["slow", "hold", "suspend"]
    wait.until(lambda: len(mails_about(pabal, "kim@example.kr", "thief1")) == 3, 10, "the administrator's mails")
    wait.until(lambda: len(mails_about(pabal, "thief1@example.kr", "thief1")) == 2, 10, "the owner's mails")
    mail = mails_about(pabal, "kim@example.kr", "thief1")[-1]
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_payload()
    for word in "new", "pabal guard release thief1@example.kr", "pabal account passwd thief1@example.kr", \
            "127.0.0.0/24", "@victim.test":
        assert word in text, text


def test_a_restart_keeps_all_of_it(pabal, next_hop):
    assert guarded(pabal, "thief1@example.kr")["action"] == "suspend"
    before = len(held(pabal, "thief1@example.kr"))
    pabal.stop()
    [stopped] = [r for r in control.rows(pabal, "guard", "list") if "thief1" in r["subject"]]
    assert stopped["action"] == "suspend"
    pabal.start()
    assert guarded(pabal, "thief1@example.kr")["action"] == "suspend"
    assert len(held(pabal, "thief1@example.kr")) == before
    shown = control.rows(pabal, "guard", "show", "thief1@example.kr")
    assert shown[0]["action"] == "suspend" and shown[1]["incident"]


def test_discard_throws_away_and_allow_lets_send_again(pabal, next_hop):
    before = len(held(pabal, "thief1@example.kr"))
    [done] = control.rows(pabal, "guard", "discard", "thief1@example.kr")
    assert done["count"] == before
    assert not held(pabal, "thief1@example.kr")
    assert guarded(pabal, "thief1@example.kr"), "the account stays suspended"
    pabal.run("guard", "allow", "thief1@example.kr", "--for", "1h")
    assert not guarded(pabal, "thief1@example.kr")
    assert control.rows(pabal, "account", "show", "thief1@example.kr")[0]["state"] == "enabled"
    with pabal.session("thief1@example.kr") as client:
        taken, reply = burst(client, "thief1@example.kr", 5, "owner")
    assert taken == 5, reply
    wait.until(lambda: len(recipients(next_hop, "owner")) == 5, 10, "the owner's mail goes out")


def test_release_sends_what_was_held_and_it_is_known_then(pabal, next_hop):
    with pabal.session("park@example.kr") as client:
        taken, reply = burst(client, "park@example.kr", 45, "invoice")
    assert taken == 45, reply
    assert guarded(pabal, "park@example.kr")["action"] == "hold"
    assert held(pabal, "park@example.kr")
    [done] = control.rows(pabal, "guard", "release", "park@example.kr")
    assert done["count"] >= 1
    wait.until(lambda: len(recipients(next_hop, "invoice")) == 45, 20, "everything went out")
    assert not guarded(pabal, "park@example.kr")


def test_discard_with_return_writes_reports(pabal, next_hop):
    with pabal.session("thief2@example.kr") as client:
        taken, _ = burst(client, "thief2@example.kr", 45, "back")
    waiting = len(held(pabal, "thief2@example.kr"))
    assert waiting
    [done] = control.rows(pabal, "guard", "discard", "thief2@example.kr", "--return")
    assert done["count"] == waiting
    wait.until(lambda: not held(pabal, "thief2@example.kr"), 10, "nothing is held")
    reports = lambda: [m for m in mails(pabal, "thief2@example.kr")
                       if m.get_content_type() == "multipart/report"]
    wait.until(lambda: len(reports()) == waiting, 20, "a report for each")


def test_a_list_has_the_profile_bulk(pabal, next_hop):
    pabal.run("guard", "profile", "list@example.kr", "bulk")
    with pabal.session("list@example.kr") as client:
        taken, reply = burst(client, "list@example.kr", 80, "news")
    assert taken == 80, reply
    wait.until(lambda: len(recipients(next_hop, "news")) == 80, 20, "all of it goes out")
    assert not guarded(pabal, "list@example.kr")


def test_contacts_come_from_sent_mail_and_logs(pabal, make_folder, next_hop):
    log = make_folder("logs") / "mail.log"
    lines = []
    for number in range(60):
        lines += [f"Nov  1 10:00:00 mx postfix/qmgr[7]: {number:X}AB: from=<kim@example.kr>, size=1, nrcpt=1",
                  f"Nov  1 10:00:00 mx postfix/smtp[8]: {number:X}AB: to=<friend{number}@victim.test>, "
                  "relay=mx[192.0.2.1]:25, status=sent (250 ok)"]
    log.write_text("\n".join(lines) + "\n")
    log.chmod(0o644)
    done = json.loads(pabal.run("guard", "seed", str(log), "--json").stdout)
    assert done["count"] == 60
    with pabal.session("kim@example.kr") as client:
        taken, reply = burst(client, "kim@example.kr", 25, "friend")
    assert taken == 25, reply
    row = control.rows(pabal, "guard", "show", "kim@example.kr")[0]
    assert row["day"]["new_recipients"] == 0 and row["action"] in ("none", "slow")


def test_a_client_by_rule_is_stopped_too(pabal, next_hop):
    with pabal.client(source="192.0.2.66") as client:
        client.ehlo()
        taken, reply = burst(client, "printer@example.kr", 60, "worm")
    assert guarded(pabal, "192.0.2.66")["action"] == "hold"
    rows = [r for r in control.rows(pabal, "queue", "list", "--state", "held", "--limit", "1000")
            if r["client"] == "192.0.2.66"]
    assert rows
    assert len(recipients(next_hop, "worm")) <= OUT
    with pabal.client(source="192.0.2.67") as client:  # its neighbour is somebody else
        client.ehlo()
        assert client.deliver("scanner@example.kr", ["lee@victim.test"], smtp.text_message()).code == 250
    pabal.run("guard", "discard", "192.0.2.66")
    pabal.run("guard", "allow", "192.0.2.66")
    assert not guarded(pabal, "192.0.2.66")
