# SPDX-License-Identifier: ISC
"""Mail for users of the machine, in their own rights: mbox, Maildir, procmail, maildrop, dovecot-lda,
.forward and dot-qmail; what is refused; what hangs, what is killed, and who writes at the same time."""

import fcntl
import grp
import mailbox
import os
import random
import re
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pabal import peers, server, smtp, wait

pytestmark = pytest.mark.root

USERS = ["kim", "lee", "min", "han", "choi", "bae", "jung"]
FIRST_UID = 64400

CONFIG = server.USUAL.replace('domains { "example.kr" }', """domains { "example.kr" "md.kr" "pm.kr" "drop.kr"
"lda.kr" "mb.kr" "q.kr" "slow.kr" "virtual.kr" }""").replace(
    'deliver { maildir "$folder/mail/%d/%u/Maildir" }', """
deliver {
	system-users yes
	mbox "$folder/spool/%u"
	mailbox-group "mail"
	separator "+-"
	program-timeout 2s
	program-memory 4G
}
mailboxes "md.kr" { maildir "%h/Maildir" forward-files none }
mailboxes "pm.kr" { program "/usr/bin/procmail" "-t" "-a" "%t" }
mailboxes "drop.kr" { program "/usr/bin/maildrop" }
mailboxes "lda.kr" { program "/usr/lib/dovecot/dovecot-lda" "-c" "$folder/lda.conf" "-f" "%s" }
mailboxes "mb.kr" { mbox "%h/inbox" }
mailboxes "q.kr" { maildir "%h/Maildir" forward-files qmail }
mailboxes "slow.kr" { program "/bin/sh" "-c" "cat >/dev/null; sleep 60" }
mailboxes "virtual.kr" { system-users no maildir "$folder/mail/%d/%u/Maildir" }
aliases "$folder/aliases"
aliases-programs yes
queue { first-retry 1s max-retry 2s }
""")


# For a delivery agent without a server.
DOVECOT = """\
mail_location = maildir:~/Lda
log_path = /dev/stderr
ssl = no
first_valid_uid = 1000
base_dir = $folder/dovecot
postmaster_address = kim@example.kr
hostname = mail.example.kr
stats_writer_socket_path =
"""


# ---- a machine with users and programs

def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


@pytest.fixture(scope="module")
def machine(make_folder):
    """Programs of the peers where they are installed, and users with home folders: mounted in the
    tests' own namespace. The folder of the homes."""
    assert os.environ.get("PABAL_TEST_NETWORK"), "not on the machine itself"
    server.make_role_users()
    folder = make_folder("machine")
    for path in folder.parents:
        if path != Path("/tmp") and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    (folder / "home").mkdir(mode=0o755)
    rows = ""
    for number, name in enumerate(USERS):
        home, uid = folder / "home" / name, FIRST_UID + number
        home.mkdir()
        os.chown(home, uid, uid)
        home.chmod(0o755)
        rows += f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n"
    rows += f"away:x:{FIRST_UID + 50}:{FIRST_UID + 50}::{folder}/home/away:/bin/sh\n"
    (folder / "passwd").write_text(Path("/etc/passwd").read_text() + rows)
    mount("--bind", folder / "passwd", "/etc/passwd")
    mount("-t", "overlay", "pabal-usr", "/usr", "-o", f"lowerdir={peers.PEERS}/root/usr:/usr")
    yield folder
    for path in ("/usr", "/etc/passwd"):
        subprocess.run(["umount", "-l", path], check=True)


class Machine(server.Pabal):
    def home(self, name):
        return self.homes / name

    def put(self, name, file, text, mode=0o600):
        path = self.home(name) / file
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, FIRST_UID + USERS.index(name), FIRST_UID + USERS.index(name))
        return path

    def send(self, *recipients, subject="a test", body="", sender="someone@example.org"):
        with self.client() as client:
            client.ehlo()
            reply = client.deliver(sender, recipients, smtp.text_message(
                sender, recipients[0], subject) + body.encode())
            assert reply.code == 250, reply

    def spool(self, name):
        return self.folder / "spool" / name

    def mbox(self, name):
        path = self.spool(name)
        return [m for m in mailbox.mbox(path, create=False)] if path.exists() else []

    def result(self, since, **fields):
        return self.await_event("result", 20, since, **fields)


@pytest.fixture(scope="module")
def running(machine, make_folder, certificate):
    folder = make_folder("local")
    made = Machine(folder, CONFIG, certificate=certificate, as_root=True, start=False)
    made.homes = machine / "home"
    spool = made.folder / "spool"
    spool.mkdir()
    os.chown(spool, 0, grp.getgrnam("mail").gr_gid)
    spool.chmod(0o2775)
    (made.folder / "lda.conf").write_text(DOVECOT.replace("$folder", str(made.folder)))
    drop = made.folder / "drop"
    drop.mkdir()
    os.chown(drop, 65534, 65534)
    (made.folder / "aliases").write_text(
        f'list: "|cat >{drop}/out; id >>{drop}/out; echo $RECIPIENT >>{drop}/out"\narchive: {drop}/archive\n')
    made.start()
    yield made
    made.kill() # not stopped: somebody's program still runs


def subjects(path):
    kind = mailbox.Maildir if path.is_dir() else mailbox.mbox
    return [m["subject"] for m in kind(path, create=False)] if path.exists() else []


def read(path):
    return path.read_bytes() if path.exists() else b""


def arrives(path, subject, count=1):
    wait.until(lambda: subjects(path).count(subject) >= count, 12, f"{subject} in {path}")


# ---- who gets mail

def test_who_exists(running):
    with running.client() as client:
        client.ehlo()
        client.mail("someone@example.org")
        for name, code in {"kim": 250, "KIM": 250, "kim+list": 250, "root": 550, "daemon": 550,
                           "nobody": 550, "pabal-mail": 550, "stranger": 550}.items():
            assert client.rcpt(f"{name}@example.kr").code == code, name
        assert client.rcpt("kim@virtual.kr").code == 550


def test_mbox(running):
    running.send("kim@example.kr", subject="first", body="\r\nFrom the beginning\r\n")
    arrives(running.spool("kim"), "first")
    path = running.spool("kim")
    status = path.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (FIRST_UID, 0o600)
    wait.until(lambda: not path.with_name("kim.lock").exists(), 5, "the lock is given back")
    text = path.read_text()
    assert re.match(r"From someone@example.org \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n"
                    r"Return-Path: <someone@example.org>\nDelivered-To: kim@example.kr\n", text)
    assert "\n>From the beginning\n" in text


def test_maildir_in_the_home(running):
    running.send("lee@md.kr", subject="home")
    arrives(running.home("lee") / "Maildir", "home")
    for path in (running.home("lee") / "Maildir").rglob("*"):
        assert path.stat().st_uid == FIRST_UID + 1 and not path.stat().st_mode & 0o077, path


# ---- real programs

def test_procmail(running):
    running.put("min", ".procmailrc", "MAILDIR=$HOME\nDEFAULT=$HOME/inbox\n:0\n* ^Subject: sorted\nsorted/\n")
    running.send("min@pm.kr", subject="sorted")
    running.send("min@pm.kr", subject="plain")
    arrives(running.home("min") / "inbox", "plain")
    wait.until(lambda: any(b"Subject: sorted" in f.read_bytes() for f in (running.home("min") / "sorted").rglob("msg.*")) or
               subjects(running.home("min") / "sorted") == ["sorted"], 20, "procmail sorts")
    since = running.log.mark()
    running.put("min", ".procmailrc", "EXITCODE=67\nLOG='no such thing'\nHOST=\n")
    running.send("min@pm.kr", subject="returned")
    event = running.result(since, outcome="bounced")
    assert event["status"] == "5.1.1" and "no such thing" in event["reason"]


def test_maildrop(running):
    since = running.log.mark()
    running.put("min", ".mailfilter", 'to "$HOME/Maildrop"\n', 0o666)
    running.send("min@drop.kr", subject="dropped")
    event = running.result(since, outcome="deferred")
    assert "ended with status 75: " in event["reason"], event
    running.put("min", ".mailfilter", 'to "$HOME/Maildrop"\n')
    wait.until(lambda: b"\nSubject: dropped\n" in read(running.home("min") / "Maildrop"), 12, "maildrop delivers")
    assert (running.home("min") / "Maildrop").stat().st_uid == FIRST_UID + 2


def test_dovecot_lda(running):
    running.send("min@lda.kr", subject="by the agent")
    arrives(running.home("min") / "Lda", "by the agent")


# ---- forward files

def test_forward(running):
    out = running.home("han") / "out"
    running.put("han", ".forward", f'\\han, lee@md.kr\n"|cat >{out}; env >>{out}; id >>{out}"\n{out}.mbox\n')
    running.send("han+news@example.kr", subject="forwarded")
    arrives(running.spool("han"), "forwarded")
    arrives(running.home("lee") / "Maildir", "forwarded")
    arrives(Path(f"{out}.mbox"), "forwarded")
    text = out.read_text()
    assert text.startswith("From someone@example.org ") and "\nEXT=news\n" in text
    assert f"uid={FIRST_UID + 3}(han)" in text and "mail" not in text.splitlines()[-1]
    (running.home("han") / ".forward").unlink()


def test_a_loop_of_forwards(running):
    since = running.log.mark()
    running.put("han", ".forward", "choi@example.kr\n")
    running.put("choi", ".forward", "han@example.kr\n")
    running.send("han@example.kr", subject="round")
    event = running.result(since, outcome="bounced")
    assert event["status"] == "5.4.6"
    for name in ("han", "choi"):
        (running.home(name) / ".forward").unlink()


def test_programs_and_files_of_aliases(running):
    running.send("list@example.kr", subject="to a program")
    running.send("archive@example.kr", subject="to a file")
    out = running.folder / "drop" / "out"
    wait.until(lambda: read(out).endswith(b"\nlist@example.kr\n"), 12, "the program runs")
    assert b"Delivered-To: list@example.kr\n" in read(out) and b"uid=65534(nobody)" in read(out)
    arrives(running.folder / "drop" / "archive", "to a file")


def test_dot_qmail(running):
    home = running.home("choi")
    running.put("choi", ".qmail", "./Maildir/\n&lee@md.kr\n")
    running.put("choi", ".qmail-lists-default", '|echo "$DEFAULT $EXT $RECIPIENT" >words; exit 99\n./never\n')
    running.send("choi@q.kr", subject="by dots")
    running.send("choi-lists-cats@q.kr", subject="lists")
    arrives(home / "Maildir", "by dots")
    arrives(running.home("lee") / "Maildir", "by dots")
    wait.until((home / "words").exists, 20, "the program runs")
    wait.until(lambda: (home / "words").read_text() == "cats lists-cats choi-lists-cats@q.kr\n", 5)
    assert not (home / "never").exists()


def test_what_a_user_may_not(running, machine):
    """Files that lead somewhere else: the mail waits, and why is said."""
    spool, target = running.spool("bae"), machine / "precious"
    target.write_text("precious\n")
    target.chmod(0o666)
    cases = [
        (lambda: spool.symlink_to(target), "symbolic link"),
        (lambda: (os.mknod(spool, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),
                  os.chown(spool, FIRST_UID + 5, 0)), "no plain file"),
        (lambda: (os.mkfifo(spool), os.chown(spool, FIRST_UID + 5, 0)), "no plain file"),
        (lambda: (spool.write_text(""), os.chown(spool, FIRST_UID, FIRST_UID), spool.chmod(0o666)),
         "does not belong to the recipient"),
        (lambda: (spool.write_text(""), os.chown(spool, FIRST_UID + 5, 0),
                  os.link(spool, machine / "second")), "more than one name"),
    ]
    for number, (make, words) in enumerate(cases):
        since = running.log.mark()
        make()
        running.send("bae@example.kr", subject=f"refused {number}")
        event = running.result(since, outcome="deferred")
        assert words in str(event) and "unsafe-mailbox" in str(event), (words, event)
        spool.unlink()
    assert target.read_text() == "precious\n"
    for number in range(len(cases)):
        arrives(spool, f"refused {number}") # none was lost
    since = running.log.mark()
    running.put("bae", ".forward", "lee@md.kr\n", 0o664)
    running.send("bae@example.kr", subject="unsafe")
    assert "unsafe-forward" in str(running.result(since, outcome="deferred"))
    lock = running.spool("newcomer.lock") # the group of the folder does not make it for him
    running.put("bae", ".forward", f"{lock}\n")
    since = running.log.mark()
    running.send("bae@example.kr", subject="another's lock")
    assert "unsafe-mailbox" in str(running.result(since, outcome="deferred", to="bae@example.kr"))
    assert not lock.exists()
    running.put("bae", ".forward", "", 0o600)
    since = running.log.mark()
    running.send("away@example.kr", subject="nowhere")
    assert "no-home" in str(running.result(since, outcome="deferred"))


# ---- what hangs

def test_a_user_who_hangs(running):
    """His program is ended after its time; all others go on meanwhile."""
    since = running.log.mark()
    for number in range(4):
        running.send("jung@slow.kr", subject=f"slow {number}")
    running.send("kim@example.kr", subject="beside it")
    arrives(running.spool("kim"), "beside it")
    event = running.result(since, outcome="deferred", to="jung@slow.kr")
    assert "program-timeout" in event["reason"]


def test_who_a_worker_is(running):
    running.put("kim", ".forward", "|sleep 1; exit 0\n")
    running.send("kim@example.kr", subject="look")

    def look():
        found = [p for p in running.pids("role local")
                 if f"Uid:\t{FIRST_UID}\t" in Path(f"/proc/{p}/status").read_text()]
        return found
    pid = wait.until(look, 10, "a worker of kim")[0]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split() == [str(FIRST_UID)] * 4
    group = str(grp.getgrnam("mail").gr_gid)
    assert status["Gid"].split() == [str(FIRST_UID), str(FIRST_UID), group, str(FIRST_UID)]
    assert status["Groups"].split() == [str(FIRST_UID)]
    for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0 # not dumpable: kim cannot trace it
    running.put("kim", ".forward", "")
    role = min(running.pids("role local"))
    status = Path(f"/proc/{role}/status").read_text()
    for kind in ("CapPrm", "CapEff"): # KILL, SETGID, SETUID
        assert int(re.search(rf"^{kind}:\s*(\w+)", status, re.M)[1], 16) == 1 << 5 | 1 << 6 | 1 << 7


def test_a_worker_that_is_stopped(running):
    """By its user, while it waits for work: it ends all the same, and takes nobody's place."""
    since = running.log.mark()
    running.send("han@example.kr", subject="stopped")
    running.result(since, outcome="delivered", to="han@example.kr")
    pid = [p for p in running.pids("role local")
           if f"Uid:\t{FIRST_UID + 3}\t" in Path(f"/proc/{p}/status").read_text()][0]
    os.kill(pid, signal.SIGSTOP)
    assert running.reload().returncode == 0 # ends workers of the configuration before
    wait.until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the worker is gone")
    running.send("han@example.kr", subject="after it")
    arrives(running.spool("han"), "after it")


# ---- killed, and at the same time

def test_killed_while_it_appends(running):
    """kill -9 of the delivering processes: no message is lost, nothing torn stays, what others
    wrote is whole."""
    count, stop = 30, threading.Event()

    def kill():
        while not stop.is_set():
            for pid in running.pids("role local"):
                try:
                    if f"Uid:\t{FIRST_UID + 1}\t" in Path(f"/proc/{pid}/status").read_text():
                        os.kill(pid, signal.SIGKILL)
                except (ProcessLookupError, FileNotFoundError):
                    pass
            time.sleep(random.uniform(0.1, 0.5))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for number in range(count):
            running.send("lee@example.kr", subject=f"killed {number}", body="x" * 70 + "\r\n" * 400)
    finally:
        time.sleep(3)
        stop.set()
        killer.join()
    running.run("queue", "retry", check=False)
    path = running.spool("lee")
    wanted = {f"killed {n}" for n in range(count)}
    wait.until(lambda: wanted <= set(subjects(path)), 60, "every message came")
    # Duplicates only: each that is there is whole.
    for message in mailbox.mbox(path, create=False):
        assert message["subject"] in wanted and message.get_payload().count("x") >= 70
    running.send("lee@example.kr", subject="last")
    arrives(path, "last")
    assert "Pabal-Torn" not in path.read_text()


def test_others_write_at_the_same_time(running, machine):
    """procmail and dovecot-lda deliver into the same mbox, and a reader with both locks takes mail away."""
    path, count = running.home("choi") / "inbox", 12
    conf = running.folder / "mbox.conf"
    conf.write_text(DOVECOT.replace("$folder", str(running.folder)).replace(
        "maildir:~/Lda", "mbox:~/boxes:INBOX=~/inbox"))
    uid = FIRST_UID + USERS.index("choi")
    taken = []

    def others(who, *program):
        environment = {"HOME": str(path.parent), "USER": "choi", "LOGNAME": "choi", "PATH": "/usr/bin:/bin"}
        for number in range(count):
            subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *program],
                           check=True, env=environment, cwd=path.parent, stderr=subprocess.DEVNULL,
                           input=f"From other@example.org Thu Nov 19 13:02:14 2026\n"
                                 f"Subject: {who} {number}\n\nbody\n".encode())

    def take():
        lock = path.with_name("inbox.lock")
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return
        with open(path, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            text = file.read().decode()
            assert not text or text.startswith("From ")
            assert not text or text.endswith("\n\n")
            taken.extend(re.findall(r"^Subject: (.*)$", text, re.M))
            file.truncate(0)
            fcntl.lockf(file, fcntl.LOCK_UN)
        lock.unlink()

    def reader():
        for _ in range(20):
            take()
            time.sleep(0.05)

    running.send("choi@mb.kr", subject="ours first")
    arrives(path, "ours first")
    procmail = "/usr/bin/procmail", f"DEFAULT={path}", "LOCKSLEEP=1", "/dev/null"
    agent = "/usr/lib/dovecot/dovecot-lda", "-c", conf
    threads = [threading.Thread(target=reader)]
    threads += [threading.Thread(target=others, args=words)
                for words in (("procmail", *procmail), ("dovecot", *agent))]
    for thread in threads:
        thread.start()
    for number in range(count):
        running.send("choi@mb.kr", subject=f"ours {number}")
    for thread in threads:
        thread.join()
    wanted = {f"{who} {n}" for who in ("ours", "procmail", "dovecot") for n in range(count)}
    wait.until(lambda: wanted <= set(taken) | set(subjects(path)), 30, "every message came")
    everything = [s for s in taken + subjects(path) if s in wanted]
    assert sorted(everything) == sorted(wanted)
