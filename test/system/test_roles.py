# SPDX-License-Identifier: ISC
"""The family of processes: who is started again and when, what a stopped
worker holds up, and who may not start at all."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pabal import control, server, smtp, wait


def new_pid(running, role, old, seconds=40):
    return wait.until(lambda: [p for p in running.pids(role) if p not in old], seconds,
                      f"{role} is started again", every=0.005)[0]


def ended(running, seconds=20):
    """Awaits the end that somebody else caused; the exit status."""
    status = running.process.wait(seconds)
    running.log.ended()
    running.process = None
    return status


# ---- a worker that stands still

def test_a_stopped_smtpd_holds_no_new_connection_up(pabal):
    stopped = pabal.pids("smtpd")[0]
    os.kill(stopped, signal.SIGSTOP)
    slowest = 0
    for _ in range(100):
        began = time.monotonic()
        with pabal.client() as client:
            assert client.ehlo().code == 250
        slowest = max(slowest, time.monotonic() - began)
    with pabal.session() as client:
        assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250
    os.kill(stopped, signal.SIGCONT)
    assert slowest < 1, f"a connection waited {slowest:.2f} s"


def test_a_session_of_a_stopped_smtpd_goes_on_with_it(pabal):
    clients = [pabal.client() for _ in range(8)]  # some on each of the two
    stopped = pabal.pids("smtpd")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    for client in clients:
        client.send(b"EHLO client.example\r\n")
    assert clients[0].nothing_comes()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    for client in clients:
        assert client.reply().code == 250
        client.close()


def test_roles_that_hang_are_replaced_and_nothing_is_lost(start, certificate, mail_sink):
    pabal = start(server.Pabal, certificate=certificate,
                  more=f'route "sink.test" {{ smtp "127.0.0.1:{mail_sink.port}" tls never }}\n')
    pabal.account("kim@example.kr", "secret")
    stopped = {role: pabal.signal_role(role, signal.SIGSTOP) for role in ("local", "sender")}
    to = ["kim@example.kr", "lee@sink.test"]
    with pabal.session() as client:
        assert client.deliver("kim@example.kr", to, smtp.text_message()).code == 250
        # one smtpd goes on
        stopped["smtpd"] = pabal.signal_role("smtpd", signal.SIGSTOP, which=1)
        for role in ("queue", "auth", "resolver"):
            stopped[role] = pabal.signal_role(role, signal.SIGSTOP)
        wait.until(lambda: not any(set(pids) & set(pabal.pids(role)) for role, pids in stopped.items()),
                   60, "all of them are gone", every=0.1)
    control.wait_ready(pabal, 60)
    said = pabal.log.events("role", level="error")
    for role, pids in stopped.items():
        for pid in pids:
            if role == "local":  # with its worker, which ends with it
                continue
            assert len([e for e in said if f"(process {pid}) has not answered for 20 s and is killed; "
                        "it is started again" in e["reason"]]) == 1, (role, said)
    assert len(said) == 7, said  # and nothing else, for two senders and one each of the others
    with wait.until(lambda: _session(pabal), 20) as client:
        assert client.deliver("kim@example.kr", to, smtp.text_message()).code == 250
    pabal.wait_messages("kim@example.kr", 2)
    mail_sink.wait(messages=2)


def _session(running):
    try:
        return running.session()
    except (OSError, AssertionError, smtp.Closed):
        return None


# ---- starting again

def test_a_role_that_dies_is_started_again_after_a_growing_pause(pabal):
    pauses = []
    pid = pabal.pids("resolver")[0]
    for _ in range(5):
        os.kill(pid, signal.SIGKILL)
        died = time.monotonic()
        pid = new_pid(pabal, "resolver", [pid])
        pauses.append(time.monotonic() - died)
    # 100, 200, 400, 800, 1600 ms
    for n, pause in enumerate(pauses):
        assert 0.1 * 2 ** n * 0.9 < pause < 0.1 * 2 ** n + 1.5, pauses
    control.wait_ready(pabal)
    [row] = control.roles(pabal, "resolver")
    assert row["restarts"] == 5 and row["pid"] == pid


def test_status_shows_who_was_restarted_and_says_when_one_is_down(pabal):
    first, second = pabal.pids("smtpd")
    os.kill(second, signal.SIGKILL)
    new_pid(pabal, "smtpd", [first, second])
    control.wait_ready(pabal)
    rows = control.roles(pabal, "smtpd")
    assert sorted(row["restarts"] for row in rows) == [0, 1]
    assert all(row["state"] == "ready" for row in rows)
    assert all(row["uptime_ms"] >= 0 for row in rows)
    words = pabal.run("status").stdout
    assert re.search(r"smtpd\[[01]\] +ready +\d+ +\S+ +1\n", words), words
    pabal.await_event("role", reason=re.compile(r"smtpd\[[01]\] was ended by signal 9"))


def test_status_fails_while_a_role_is_down(pabal):
    pid = pabal.pids("sender")[0]
    for _ in range(3):  # the next pause is long enough to look
        os.kill(pid, signal.SIGKILL)
        pid = new_pid(pabal, "sender", pabal.pids("sender"))
    os.kill(pid, signal.SIGKILL)
    wait.until(lambda: pid not in pabal.pids("sender"), 5)
    done = pabal.run("status", check=False)
    assert done.returncode == 1
    assert re.search(r"sender\[[01]\] +(down|starting)", done.stdout), done.stdout
    control.wait_ready(pabal)
    assert pabal.run("status").returncode == 0


def test_everybody_ends_when_the_master_is_killed(pabal):
    family = pabal.family()
    pabal.process.kill()
    ended(pabal)
    wait.until(lambda: not any(server._runs(pid) for pid in family), 10, "all roles end")
    pabal.start()  # the same ports and the same store are free
    with pabal.session() as client:
        assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250
    pabal.wait_messages("kim@example.kr")


def test_stop_by_command_ends_all(pabal):
    with pabal.client() as old, pabal.client() as idle:
        old.ehlo()
        pabal.reload()
        idle.ehlo()
        family = pabal.family()
        pabal.run("stop")
        assert idle.reply().code == 421, "who waits is told"
        assert old.reply().code == 421, "on an old generation, too"
    assert ended(pabal) == 0
    assert not any(server._runs(pid) for pid in family)


def test_mail_under_way_is_finished_before_the_stop(pabal):
    client = pabal.session()
    client.mail("kim@example.kr")
    client.rcpt("kim@example.kr")
    assert client.command("DATA").code == 354
    pabal.process.terminate()
    pabal.await_event("role", reason=re.compile("^stopping"))
    client.send(smtp.text_message() + b".\r\n")
    assert client.reply().code == 250
    assert ended(pabal) == 0
    pabal.start()
    pabal.wait_messages("kim@example.kr")


# ---- who may not start

def serve(words):
    return subprocess.run(words.command("serve", "-c", words.config), capture_output=True,
                          text=True, env=words.environ(), timeout=30, stdin=subprocess.DEVNULL)


HOLDER = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()
"""


@pytest.fixture
def holder(folder):
    """holder(name): a process of that name which listens; (its process, the port)."""
    started = []

    def start(name):
        program = folder / name
        program.symlink_to(sys.executable)
        script = f"import ctypes; ctypes.CDLL(None).prctl(15, b'{name}')\n" + HOLDER
        process = subprocess.Popen([program, "-c", script], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.stdin.close()
        process.wait(10)


@pytest.mark.root
@pytest.mark.parametrize("name,product", [("master", "Postfix"), ("exim4", "Exim"),
                                          ("sendmail", "sendmail"), ("other", None)])
def test_a_taken_port_is_told_with_process_and_product(start, certificate, holder, name, product):
    process, port = holder(name)
    pabal = start(server.Pabal, certificate=certificate, start=False, as_root=True)
    pabal.write_config(pabal.template.replace("$listen_mx", f"127.0.0.1:{port}"))
    done = serve(pabal)
    assert done.returncode == 78
    last = done.stderr.strip().splitlines()[-1]
    assert f"port {port} on 127.0.0.1 is taken by" in last
    assert f"{process.pid}" in last and name in last
    if product:
        assert f"{product} (process {process.pid}, {name})" in last
        assert "systemctl disable --now" in last


def test_a_taken_port_is_told_without_root(start, certificate, holder):
    _, port = holder("master")
    pabal = start(server.Pabal, certificate=certificate, start=False)
    pabal.write_config(pabal.template.replace("$listen_mx", f"127.0.0.1:{port}"))
    done = serve(pabal)
    assert done.returncode == 78
    assert f"port {port} on 127.0.0.1 is taken by another process" in done.stderr


def second(start, certificate, first, keep):
    """Another server with its own ports on folders of the first."""
    other = start(server.Pabal, certificate=certificate, start=False, name="second")
    text = other.template
    for name in keep:
        text = text.replace(f"$folder/{name}", str(first.folder / name))
    other.write_config(text)
    return other


@pytest.mark.parametrize("keep", [["state", "run"], ["state"], ["run"]], ids="-".join)
def test_a_second_server_on_the_same_folders_is_refused(start, certificate, pabal, keep):
    other = second(start, certificate, pabal, keep)
    done = serve(other)
    assert done.returncode == 78, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pabal: "), last
    assert re.search("another (server|process)", last), last
    assert str(pabal.folder / keep[0]) in last, last
    # and the first one did not notice
    with pabal.session() as client:
        assert client.deliver("kim@example.kr", "kim@example.kr", smtp.text_message()).code == 250
    assert pabal.run("status").returncode == 0


def test_the_folders_are_free_after_a_kill(start, certificate, pabal):
    pabal.kill()
    other = second(start, certificate, pabal, ["state", "run"])
    other.start()
    with other.session() as client:
        assert client.mail("kim@example.kr").code == 250
