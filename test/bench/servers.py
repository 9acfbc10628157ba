# SPDX-License-Identifier: ISC
"""The two servers that are compared, in the same three ways: `hold` (mail is
accepted and stays), `relay` (to the sink) and `submission` (STARTTLS and AUTH,
then to the sink). Durability is as each comes; what is raised are limits on
numbers of processes, connections and messages, which is not what is measured."""

import json
import os
import shutil
from pathlib import Path

import logins
from pabal import peers, server

PASSWORD = "correct horse battery"


class Measured:
    """`.port`, `.start_folder`, and what can be seen of the processes."""

    def pids(self):
        raise NotImplementedError

    def memory(self):
        """Octets of all processes of the server: each page shared by n of them
        counts as 1/n (PSS)."""
        return sum(_pss(pid) for pid in self.pids())

    def cpu(self):
        """Seconds of processor time so far, by name of process."""
        used = {}
        for pid in self.pids():
            name, seconds = _cpu(pid, self.name_of)
            used[name] = used.get(name, 0) + seconds
        return used

    @staticmethod
    def name_of(comm, title):
        return comm


class Postfix(Measured):
    name = "Postfix"

    def __init__(self, folder, kind, sink_port, certificate):
        folder = _empty(folder)
        self.dovecot = None
        main = [
            f"relayhost = [127.0.0.1]:{sink_port}", "mynetworks = 127.0.0.0/8",
            "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated reject",
            # one process a connection: enough of them, on both sides
            "default_process_limit = 300",
            "default_destination_concurrency_limit = 50", "initial_destination_concurrency = 50",
            "smtpd_client_connection_count_limit = 0", "smtpd_client_connection_rate_limit = 0",
            "smtpd_client_message_rate_limit = 0", "smtpd_client_recipient_rate_limit = 0",
            # would hold back clients by a second while deliveries are behind
            "in_flow_delay = 0"]
        if kind == "hold":
            main.append("smtpd_client_restrictions = check_client_access static:HOLD")
        sasl = None
        if kind == "submission":
            self.dovecot = peers.Dovecot(folder, {"kim@example.kr": PASSWORD})
            main += ["smtpd_client_restrictions = permit_sasl_authenticated reject"]
            sasl = self.dovecot.auth
        self.postfix = peers.Postfix(folder, certificate=certificate, sasl=sasl,
                                     main="\n".join(main))
        self.folder, self.port = folder, self.postfix.port

    def queued(self):
        """Messages that are in its queue now."""
        queue = self.postfix.folder / "queue"
        return sum(len(files) for sub in ("incoming", "active", "deferred", "hold")
                   for _, _, files in os.walk(queue / sub))

    def pids(self):
        return _descendants(self.postfix.process.pid)

    def log_tail(self):
        return self.postfix.log_text()[-2000:]

    def stop(self):
        self.postfix.stop()
        if self.dovecot:
            self.dovecot.stop()


PABAL = """\
hostname "mx.bench.test"
domains { "example.kr" }
postmaster "kim@example.kr"
state-folder "$folder/state"
run-folder "$folder/run"
log { to file "$folder/log" }
tls { certificate "$certificate" }
resolver { servers "$dns" }
limits { connections 20000 connections-address 20000 connections-network 20000 }
queue { hold $hold }
destination "*" { connections 50 messages 1000000 }
clients { "127.0.0.0/8" relay }
guard { action report notify nobody }
route "*" { smtp "127.0.0.1:$sink" tls never }
max-messages 1000000
server "mx" { listen "$listen_mx" }
server "submission" { listen "$listen_submission" require { tls auth } }
auth {
	source "accounts"
	cache $cache
}
"""


class Pabal(Measured):
    name = "Pabal"

    def __init__(self, folder, kind, sink_port, certificate):
        self.folder = _empty(folder)
        self.server = server.Pabal(
            self.folder, PABAL, certificate=certificate, as_root=True, start=False,
            hold="yes" if kind == "hold" else "no", sink=str(sink_port), cache="1m")
        try:
            self.server.start()
            self.server.account("kim@example.kr", PASSWORD)
        except BaseException:
            self.server.kill()
            raise
        self.port = self.server.port("submission" if kind == "submission" else "mx")

    def queued(self):
        rows = self.server.run("status", "--json", check=False).stdout.splitlines()
        return next(r["queue"]["messages"] for r in map(json.loads, rows) if "queue" in r)

    # ---- logins on the authentication socket
    def logins(self, count):
        self.names = [f"user{i}@example.kr" for i in range(count)]
        for name in self.names:
            self.server.account(name, logins.PASSWORD)

    def login_rate(self, kind, seconds):
        return logins.rate(self.server.folder / "run" / "auth-client", kind, self.names, seconds)

    def forget_logins(self):
        """From now on every login is a first one."""
        self.server.words["cache"] = "0"
        self.server.write_config()
        self.server.reload()

    def pids(self):
        return _descendants(self.server.process.pid)

    @staticmethod
    def name_of(comm, title):
        words = title.split()
        return words[words.index("role") + 1] if "role" in words[:-1] else comm

    def log_tail(self):
        log = self.server.folder / "log"
        return self.server.log.text()[-1000:] + (
            log.read_text(errors="replace")[-1000:] if log.exists() else "")

    def stop(self):
        self.server.stop()


def _empty(folder):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _descendants(root):
    """Of all processes, which are root or come from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] != "Z":
                parents[int(entry.name)] = int(stat[1])
    found, grown = {root}, True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in found} - found
        found |= new
        grown = bool(new)
    return sorted(found)


def _pss(pid):
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(row.split()[1]) * 1024 for row in text.splitlines()
               if row.startswith("Pss:"))


def _cpu(pid, name_of):
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "", 0
    # utime, stime, and those of children that ended: Postfix has many
    ticks = sum(map(int, tail.split()[11:15]))
    return name_of(head.partition("(")[2], title), ticks / os.sysconf("SC_CLK_TCK")
