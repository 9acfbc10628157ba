# SPDX-License-Identifier: ISC
"""A new configuration under traffic: who is served by which, what a bad one
does, what becomes of rights, and certificates that change on disk."""

import grp
import os
import re
import shutil
import signal
import socket
import threading

import pytest

from pabal import control, server, smtp, tls, wait

MANY = "limits { connections-address 1000 connections-network 1000 }\n"


def with_banner(running, words, more=""):
    """The usual configuration with this banner."""
    running.write_config(server.USUAL + MANY + f'banner "{words}"\n' + more)


def banner(running):
    with running.client() as client:
        return client.banner.text


def reload(running):
    done = running.reload()
    assert done.returncode == 0, done.stderr
    return done


# ---- nobody is disturbed

class Visitors:
    """Threads that come, say EHLO, some with a message, and leave; what went
    wrong is kept."""

    def __init__(self, running, threads=8):
        self.running, self.wrong, self.visits, self.sent = running, [], 0, 0
        self.lock, self.stopping = threading.Condition(), False
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.stopping:
            try:
                message = self._visit()
            except (OSError, AssertionError, ValueError) as error:
                with self.lock:
                    self.wrong.append(repr(error))
                message = False
            with self.lock:
                self.visits += 1
                self.sent += message
                self.lock.notify_all()

    def _visit(self):
        with self.running.client() as client:
            assert client.banner.code == 220, client.banner
            assert client.ehlo().code == 250
            message = self.visits % 5 == 0
            if message:
                text = smtp.text_message(recipient="kim@example.kr")
                reply = client.deliver("lee@example.com", "kim@example.kr", text)
                assert reply.code == 250, reply
            reply = client.command("QUIT")
            assert reply.code == 221, reply
            return message

    def wait(self, visits, seconds=120):
        with self.lock:
            assert self.lock.wait_for(lambda: self.visits >= visits, seconds)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(30)


def test_a_thousand_connections_during_twenty_reloads(pabal):
    with_banner(pabal, "mail.example.kr ESMTP first")
    reload(pabal)
    stayers = [pabal.client() for _ in range(4)]
    for client in stayers:
        client.ehlo()
    visitors = Visitors(pabal)
    for number in range(20):
        with_banner(pabal, f"mail.example.kr ESMTP number {number}")
        reload(pabal)
        assert banner(pabal) == f"mail.example.kr ESMTP number {number}", "in force at once"
        for client in stayers:
            assert client.command("NOOP").code == 250
        visitors.wait(50 * (number + 1))
    visitors.wait(1000)
    visitors.stop()
    assert not visitors.wrong, visitors.wrong[:5]
    for client in stayers:  # still on the generation they came to
        reply = client.deliver("lee@example.com", "kim@example.kr", smtp.text_message())
        assert reply.code == 250
        client.quit()
    pabal.wait_messages("kim@example.kr", visitors.sent + len(stayers))
    wait.until(lambda: len(pabal.pids("smtpd")) == 2, 10, "old generations end")


def test_an_old_session_goes_on_under_tls(pabal):
    with pabal.session() as old:
        old.mail("kim@example.kr")
        reload(pabal)
        reload(pabal)
        assert old.rcpt("kim@example.kr").code == 250
        assert old.data(smtp.text_message()).code == 250
    pabal.wait_messages("kim@example.kr")


def test_old_generations_do_not_pile_up(pabal):
    with_banner(pabal, "mail.example.kr ESMTP")
    reload(pabal)
    kept = []
    for _ in range(30):
        kept.append(pabal.client())
        reload(pabal)
    assert len(pabal.family()) <= 60
    assert kept[-1].ehlo().code == 250
    for client in kept:
        client.close()
    wait.until(lambda: len(pabal.pids("smtpd")) == 2, 10, "old generations end")


def test_a_reload_that_was_overtaken_is_done_again(pabal):
    for number in range(5):
        with_banner(pabal, f"mail.example.kr ESMTP old {number}")
        os.kill(pabal.process.pid, signal.SIGHUP)
        with_banner(pabal, f"mail.example.kr ESMTP new {number}")
        reload(pabal)
        assert banner(pabal) == f"mail.example.kr ESMTP new {number}"


def test_the_server_looks_at_its_files_by_itself(pabal):
    with_banner(pabal, "mail.example.kr ESMTP by itself")
    pabal.await_event("config", reason=re.compile("is in force; changed:"))
    wait.until(lambda: "by itself" in banner(pabal), 10)


# ---- what changes

def test_listeners_come_and_go(pabal):
    pabal.write_config(server.USUAL.replace("$listen_mx", "$listen_other"))
    reload(pabal)
    with pabal.client("other") as client:
        assert client.ehlo().code == 250
    with pytest.raises(ConnectionRefusedError):
        pabal.client("mx")


def test_limits_hold_for_new_and_old_sessions(pabal):
    with pabal.client() as old:
        old.ehlo()
        with_banner(pabal, "mail.example.kr ESMTP", "max-message-size 2K\n")
        reload(pabal)
        with pabal.client() as new:
            new.ehlo()
            assert new.extensions["SIZE"] == "2048"
            assert new.mail("lee@example.com", "SIZE=3000").code == 552
        assert old.mail("lee@example.com", "SIZE=3000").code == 552


# ---- rights that are taken away

def test_a_disabled_account_sends_no_more(pabal):
    with pabal.session() as old:
        assert old.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250
        pabal.run("account", "disable", "kim@example.kr")
        reply = old.mail("kim@example.kr")
        assert 500 <= reply.code < 600 and "disabled" in reply.text
        refused = pabal.await_event("refuse", verb="MAIL", account="kim@example.kr")
        assert refused["rule"] == "account-disabled" and refused["session"]
        with pabal.client("submission") as new:
            new.ehlo(), new.starttls(), new.ehlo()
            assert new.auth_plain("kim@example.kr", "secret").code == 535
        pabal.run("account", "enable", "kim@example.kr")
        assert old.mail("kim@example.kr").code == 250
    pabal.session().close()


def test_a_removed_account_sends_no_more(pabal):
    pabal.account("lee@example.kr", "other")
    with pabal.session("lee@example.kr", "other") as old:
        pabal.run("account", "remove", "lee@example.kr")
        reply = old.mail("lee@example.kr")
        assert 500 <= reply.code < 600


def test_a_relay_right_that_is_gone_is_gone_for_old_sessions(pabal):
    pabal.write_config(server.USUAL + 'clients { "192.0.2.0/24" relay }\nqueue { hold yes }\n')
    reload(pabal)
    first, second = (pabal.client(source="192.0.2.77") for _ in range(2))
    for client in (first, second):
        client.ehlo()
        reply = client.deliver("lee@elsewhere.test", "lee@sink.test", smtp.text_message())
        assert reply.code == 250
    pabal.write_config(server.USUAL + "queue { hold yes }\n")
    reload(pabal)
    first.mail("lee@elsewhere.test")
    reply = first.rcpt("lee@sink.test")
    assert (reply.code, reply.enhanced) == (550, "5.7.1")
    reload(pabal)
    second.mail("lee@elsewhere.test")
    assert second.rcpt("lee@sink.test").code == 550, "also one more generation later"


def test_a_client_that_is_denied_now_is_not_let_in(pabal):
    pabal.write_config(server.USUAL + 'clients { "192.0.2.66/32" deny "not from there" }\n')
    reload(pabal)
    with pabal.client(source="192.0.2.66") as client:
        assert client.banner.code in (554, 550) and "not from there" in client.banner.text


# ---- a bad configuration

BAD = [
    ('hostnam "x.example"\n', r"pabal\.conf:\d+:\d+:.*hostname"),
    ('limits { connections "many" }\n', r"pabal\.conf:\d+:\d+:"),
    ('tls { certificate "/nowhere.pem" }\n', r"/nowhere\.pem"),
    ('include "missing.conf"\n', r"missing\.conf"),
]


@pytest.mark.parametrize("more,words", BAD, ids=["unknown word", "no number", "no certificate",
                                                 "no include"])
def test_a_bad_configuration_is_refused(pabal, more, words):
    with pabal.client() as old:
        old.ehlo()
        pabal.write_config(server.USUAL + more)
        done = pabal.reload()
        assert done.returncode == 1
        assert re.search(words, done.stderr), done.stderr
        pabal.await_event("config", level="error", reason=re.compile("is refused"))
        assert old.command("NOOP").code == 250
    with pabal.client() as new:
        assert new.ehlo().code == 250
    # The commands find the server that runs, and status says what is the matter.
    assert pabal.queue() == []
    done = pabal.run("status")
    assert "is refused" in done.stdout and re.search(words, done.stdout), done.stdout
    pabal.write_config(server.USUAL)
    reload(pabal)
    assert "is refused" not in pabal.run("status").stdout


@pytest.mark.parametrize("setting", ["state", "run"])
def test_folders_cannot_change_while_the_server_runs(pabal, setting):
    pabal.write_config(server.USUAL.replace(f"$folder/{setting}", "$folder/tls"))
    event = pabal.await_event("config", level="error", reason=re.compile("is refused"))
    assert f"{setting}-folder" in event["reason"]
    assert pabal.client().ehlo().code == 250


def test_a_port_that_is_taken_refuses_all_and_leaves_nothing_open(pabal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pabal.write_config(server.USUAL + 'server "new" { listen "$listen_new" }\n'
                           f'server "other" {{ listen "127.0.0.1:{port}" }}\n')
        done = pabal.reload()
        assert done.returncode == 1 and f"port {port}" in done.stderr, done.stderr
    with pytest.raises(ConnectionRefusedError):
        pabal.client("new")
    assert pabal.client().ehlo().code == 250


def test_what_a_refused_configuration_lacked_is_noticed_when_it_comes(pabal):
    pabal.write_config(server.USUAL + 'include "more.conf"\n')
    pabal.await_event("config", level="error", reason=re.compile("more.conf"))
    more = pabal.folder / "more.conf"
    more.with_suffix(".new").write_text('banner "mail.example.kr ESMTP completed"\n')
    more.with_suffix(".new").rename(more)
    wait.until(lambda: "completed" in banner(pabal), 15, "the include is read")


@pytest.mark.root
def test_a_configuration_that_a_foreign_group_may_write_is_refused(pabal):
    shutil.chown(pabal.config, group="mail")
    pabal.config.chmod(0o664)
    words = f"chmod g-w {pabal.config}"
    assert words in pabal.run("check", check=False).stderr
    done = pabal.reload()
    assert done.returncode == 1 and words in done.stderr, done.stderr
    pabal.config.chmod(0o644)
    reload(pabal)


def test_the_self_signed_certificate_is_found_wherever_the_state_is(start):
    """Nobody names its file, only the folder."""
    config = server.USUAL.replace('tls { certificate "$certificate" }', "")
    pabal = start(server.Pabal, config.replace('"$folder/state"', '"state"'))
    with pabal.client() as client:
        client.ehlo()
        assert client.starttls().code == 220
    assert not pabal.log.events("config", level="error")


# ---- the socket for other programs

def greets(path):
    """Role auth answers on it; the connection."""
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(20)
    one.connect(str(path))
    assert one.recv(4096).startswith(b"VERSION\t1\t")
    return one


def with_public(running, words):
    """The usual configuration with these words in auth."""
    running.write_config(server.USUAL.replace('auth { source "accounts" }',
                                              f'auth {{ source "accounts" {words} }}'))
    reload(running)


def test_the_public_socket_moves_and_goes(pabal):
    usual, moved = pabal.folder / "run" / "auth-client", pabal.folder / "moved"
    kept = greets(usual)
    with_public(pabal, 'public-socket "$folder/moved"')
    greets(moved).close()
    assert not usual.exists()
    kept.sendall(b"VERSION\t1\t2\nCPID\t1\n")  # who is connected stays so
    # also an auth that starts now has it
    [old] = pabal.signal_role("auth")
    wait.until(lambda: [p for p in pabal.pids("auth") if p != old], 20)
    control.wait_ready(pabal)
    kept = greets(moved)
    with_public(pabal, 'public-socket ""')
    assert not moved.exists()
    assert kept.recv(4096) == b"", "there is nobody any more"
    [old] = pabal.signal_role("auth")
    wait.until(lambda: [p for p in pabal.pids("auth") if p != old], 20)
    control.wait_ready(pabal)
    with_public(pabal, "")
    greets(usual).close()
    pabal.stop()
    assert not usual.exists()


def test_a_public_socket_that_cannot_be_is_refused(pabal):
    usual = pabal.folder / "run" / "auth-client"
    pabal.write_config(server.USUAL + 'auth { public-socket "$folder/missing/socket" }\n')
    done = pabal.reload()
    assert done.returncode == 1 and "missing/socket" in done.stderr, done.stderr
    greets(usual).close()
    # another setting that fails leaves the socket that was made for it nowhere
    pabal.write_config(server.USUAL + 'auth { public-socket "$folder/other" }\n'
                       'log { to file "$folder/missing/log" }\n')
    assert pabal.reload().returncode == 1
    assert not (pabal.folder / "other").exists()
    greets(usual).close()


@pytest.mark.root
def test_the_group_of_the_public_socket(start, certificate):
    pabal = start(server.Pabal, certificate=certificate, as_root=True)
    usual = pabal.folder / "run" / "auth-client"

    def is_for(group):
        return usual.stat().st_gid == grp.getgrnam(group).gr_gid

    assert is_for("root")
    with_public(pabal, 'public-group "mail"')
    assert is_for("mail")
    greets(usual).close()
    with_public(pabal, 'public-group "news"')
    assert is_for("news")
    with_public(pabal, 'public-group "nobody-has-this"')
    assert is_for("root")
    pabal.await_event("config", level="warning", reason=re.compile("no group nobody-has-this"))
    with_public(pabal, "")
    assert is_for("root")


# ---- certificates

def shown(running, name="submission"):
    """The certificate that a new client sees, as DER."""
    with running.client(name) as client:
        client.ehlo()
        assert client.starttls().code == 220
        return client.socket.getpeercert(binary_form=True)


def der(certificate):
    import ssl
    return ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())


def test_a_renewed_certificate_is_picked_up(pabal, ca, certificate):
    assert shown(pabal) == der(certificate)
    with pabal.session() as old:
        renewed = ca.issue("mail.example.kr", days=25, stem="renewed")
        pabal.put_certificate(renewed)
        wait.until(lambda: shown(pabal) == der(renewed), 60, "the renewed certificate is served")
        assert old.mail("kim@example.kr").code == 250
    control.wait_ready(pabal)
    days = [row["days"] for row in control.rows(pabal, "status") if row["kind"] == "certificate"]
    assert days and all(day in (24, 25) for day in days)


def test_a_symbolic_link_that_is_switched_is_noticed(pabal, ca, certificate):
    """As certificate tools do it: a link to a folder, or to a file, is replaced."""
    renewed = ca.issue("mail.example.kr", days=26, stem="switched")
    for name, one in (("archive1", certificate), ("archive2", renewed)):
        (pabal.folder / "tls" / name).mkdir()
        pabal.put_certificate(one, f"{name}/server.pem")
    live = pabal.folder / "tls" / "live"
    live.symlink_to("archive1")
    pabal.write_config(server.USUAL.replace("$certificate", "$folder/tls/live/server.pem"))
    reload(pabal)
    assert shown(pabal) == der(certificate)
    new = live.with_suffix(".new")
    new.symlink_to("archive2")
    new.rename(live)
    wait.until(lambda: shown(pabal) == der(renewed), 60, "the new folder is served")


def test_files_elsewhere_are_read_when_the_configuration_names_them(pabal, ca, folder):
    """Also from an included file, whose own names start at its folder."""
    site = folder / "site"
    (site / "tls").mkdir(parents=True)
    renewed = ca.issue("mail.example.kr", days=28, stem="site")
    pabal.put_certificate(renewed, site / "tls" / "site.pem")
    (site / "tls.conf").write_text('tls { certificate "../site/tls/site.pem" }\n')
    for path in (site, site / "tls", site / "tls.conf"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    pabal.write_config(server.USUAL.replace('tls { certificate "$certificate" }',
                                            f'include "{site}/tls.conf"'))
    reload(pabal)
    assert shown(pabal) == der(renewed)
    assert not pabal.log.events("config", reason=re.compile("no configuration file names"))


@pytest.mark.parametrize("damage", ["empty", "no key", "another's key", "readable by all"])
def test_a_bad_certificate_is_reported_and_the_old_one_kept(pabal, ca, certificate, damage):
    bad = ca.issue("mail.example.kr", stem="bad")
    other = ca.issue("other.example.kr", stem="other")
    text = {"empty": b"", "no key": bad.cert.read_bytes(),
            "another's key": bad.cert.read_bytes() + other.key.read_bytes(),
            "readable by all": bad.pem.read_bytes()}[damage]
    bad.pem.write_bytes(text)
    path = pabal.put_certificate(bad)
    if damage == "readable by all":
        path.chmod(0o644)
    event = pabal.await_event("config", level="error", reason=re.compile("server.pem"))
    assert "is refused" in event["reason"]
    assert shown(pabal) == der(certificate)
    assert re.search("is refused.*server.pem", pabal.run("status").stdout)
    # a role that is started now has the old one, too
    for pid in pabal.signal_role("smtpd"):
        wait.until(lambda p=pid: p not in pabal.pids("smtpd"), 10)
    assert wait.until(lambda: _try_shown(pabal), 20) == der(certificate)
    good = ca.issue("mail.example.kr", days=27, stem="good")
    pabal.put_certificate(good)
    wait.until(lambda: shown(pabal) == der(good), 60, "a good one is taken again")


def _try_shown(running):
    try:
        return shown(running)
    except (OSError, smtp.Closed):
        return None
