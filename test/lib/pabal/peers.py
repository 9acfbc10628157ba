# SPDX-License-Identifier: ISC
"""Real servers to talk to, from the packages that ./dev unpacked into
.run/peers: Knot (DNS), Postfix, Dovecot. Each is an object with a folder, is
started by its constructor, and is ready when that returns.

They run in the view of the file system that test/lib/enter-peers makes, on the
addresses of the network namespace the tests are in."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from . import wait

TREE = Path(__file__).resolve().parents[3]
PEERS = Path(os.environ.get("PABAL_PEERS", TREE / ".run" / "peers"))
ENTER = Path(__file__).resolve().parents[1] / "enter-peers"

# The user of enter-peers that owns mailboxes and runs what needs no root.
MAIL_USER = 64106


def have_peers():
    return (PEERS / "unpacked").exists()


def is_root():
    return os.geteuid() == 0


class Peer:
    """One server process in the foreground, with a log file."""

    def __init__(self, folder, name):
        self.folder = Path(folder) / name
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log"
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _inside(self, command, user=None):
        words = [ENTER, PEERS, self.folder.parent]
        if user is not None and is_root():
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        return [str(w) for w in words + list(command)]

    def run(self, *command, user=None):
        """A command of the peer's packages, to its end; its output."""
        done = subprocess.run(self._inside(command, user), capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def _start(self, *command, user=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._inside(command, user), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    def _ready(self, question, what):
        def asked():
            if self.process.poll() is not None:
                raise AssertionError(f"{type(self).__name__} ended:\n{self.log_text()}")
            return question()
        try:
            wait.until(asked, 20, what)
        except AssertionError:
            self.stop()
            raise

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def pause(self):
        """Stops to answer without closing anything."""
        self._signal(signal.SIGSTOP)
        # a thread that runs on another processor may answer once more before it hears of it
        wait.until(self._is_stopped, 5, "every thread has stopped")

    def _is_stopped(self):
        states = [path.read_text().rpartition(")")[2].split()[0]
                  for path in Path(f"/proc/{self.process.pid}/task").glob("*/stat")]
        return all(state in "TZ" for state in states)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        os.killpg(self.process.pid, number)

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        self._signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        # Children that would have gone on for those who are connected end, too.
        try:
            self._signal(signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def _give_to(self, user, path=None):
        """The folder belongs to the user that the peer becomes."""
        if is_root():
            shutil.chown(path or self.folder, user, user)


# ---- DNS

class Knot(Peer):
    """`zones`: name -> records as text (one each line, `@` is the zone; SOA and
    NS are added). Those named in `signed` are signed. `.server` is what goes
    into `resolver { servers ... }`."""

    def __init__(self, folder, zones, signed=(), address="127.0.0.1", port=None):
        super().__init__(folder, "knot")
        self.address = address
        self.port = port or wait.free_port_pair(address)
        self.server = f"{self.address}:{self.port}"
        self.zones, self.signed = dict(zones), set(signed)
        self.serial = 1
        self._user = MAIL_USER
        (self.folder / "db").mkdir()
        self._give_to(self._user)
        self._give_to(self._user, self.folder / "db")
        for name in self.zones:
            self._write_zone(name)
        self._write_config()
        self.start()

    def start(self):
        self._start("/usr/sbin/knotd", "-c", self.folder / "knot.conf", user=self._user)
        last = list(self.zones)[-1]
        self._ready(lambda: all(self.asks(name) for name in self.zones), f"knot serves {last}")

    def asks(self, name, kind="SOA"):
        """The answer section's size, or 0 when nothing or an error comes."""
        return query(self.address, self.port, name, kind)

    def ds(self, zone):
        """The zone's DS records, as `resolver { trust-anchor ... }` takes them."""
        out = self.run("/usr/sbin/keymgr", "-c", self.folder / "knot.conf", zone, "ds",
                       user=self._user)
        rows = [re.split(r"\s+", row.strip()) for row in out.splitlines() if " DS " in row]
        sha256 = [row for row in rows if row[-2] == "2" or row[4] == "2"] or rows
        return " ".join([sha256[0][0].rstrip(".") + ".", "IN", *sha256[0][1:]])

    def change(self, zone, records):
        """Other records from now on; a zone that is new is served, too."""
        is_new = zone not in self.zones
        self.zones[zone] = records
        self.serial += 1
        self._write_zone(zone)
        if is_new:
            self._write_config()
            self._knotc("reload")
        else:
            self._knotc("-b", "zone-reload", zone)
        wait.until(lambda: self.asks(zone), 10, f"knot serves {zone}")

    def _knotc(self, *words):
        self.run("/usr/sbin/knotc", "-s", self.folder / "knot.sock", *words, user=self._user)

    def _write_zone(self, name):
        path = self.folder / f"{name}.zone"
        path.write_text(
            f"$ORIGIN {name}.\n$TTL 5\n"
            f"@ SOA ns.{name}. hostmaster.{name}. {self.serial} 3600 900 86400 5\n"
            f"@ NS ns.{name}.\nns A {self.address}\n{self.zones[name]}\n")
        self._give_to(self._user, path)

    def _write_config(self):
        rows = [
            "server:", f"  listen: {self.address}@{self.port}", f"  rundir: {self.folder}",
            "  udp-workers: 1", "  tcp-workers: 1", "  background-workers: 1",
            "control:", f"  listen: {self.folder}/knot.sock",
            "database:", f"  storage: {self.folder}/db",
            "  journal-db-max-size: 20M", "  kasp-db-max-size: 10M",
            "  timer-db-max-size: 10M", "  catalog-db-max-size: 10M",
            "log:", "  - target: stderr", "    any: info",
            "policy:", "  - id: test", "    algorithm: ecdsap256sha256",
            "    single-type-signing: on", "    nsec3: off",
            "template:", "  - id: default", f"    storage: {self.folder}",
            "    file: %s.zone", "    zonefile-sync: -1", "    zonefile-load: whole",
            "    journal-content: none", "    semantic-checks: off",
            "zone:"]
        for name in self.zones:
            rows.append(f"  - domain: {name}")
            if name in self.signed:
                rows += ["    dnssec-signing: on", "    dnssec-policy: test",
                         "    zonefile-load: difference", "    journal-content: all"]
        (self.folder / "knot.conf").write_text("\n".join(rows) + "\n")


KINDS = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "TLSA": 52}


def query(address, port, name, kind, seconds=1):
    """Asks one question by UDP; how many answer records came, 0 on any error.
    With the DO bit, so signatures count."""
    labels = [label for label in name.rstrip(".").split(".") if label]
    question = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    packet = (struct.pack(">HHHHHH", 4711, 0, 1, 0, 0, 1)
              + question + b"\0" + struct.pack(">HH", KINDS[kind], 1)
              + b"\0" + struct.pack(">HHIH", 41, 4096, 0x8000, 0))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        try:
            s.connect((address, port))
            s.send(packet)
            answer = s.recv(4096)
        except OSError:
            return 0
    code, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
    return count if code == 0 else 0


class SilentDns:
    """A name server that is there and never answers."""

    def __init__(self, address="127.0.0.1"):
        self.port = wait.free_port_pair(address)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, self.port))
        self.tcp = socket.socket()
        self.tcp.bind((address, self.port))
        self.tcp.listen(16)
        self.server = f"{address}:{self.port}"

    def stop(self):
        self.udp.close()
        self.tcp.close()


# ---- mail

def maildir_messages(folder):
    """The octets of each message in a Maildir, oldest first."""
    found = [p for sub in ("new", "cur") for p in (Path(folder) / sub).glob("*")]
    return [p.read_bytes() for p in sorted(found, key=lambda p: p.stat().st_mtime_ns)]


class Mailboxes:
    """For peers that keep Maildirs."""

    def messages(self, address):
        return maildir_messages(self.maildir(address))

    def wait_messages(self, address, count=1, seconds=20):
        return wait.until(
            lambda: len(self.messages(address)) >= count and self.messages(address), seconds,
            f"{count} messages for {address} at {type(self).__name__}:\n{self.log_text()[-4000:]}")


class Postfix(Peer, Mailboxes):
    """Takes mail for any address of `domains` into Maildirs. Needs root.

    `certificate`: STARTTLS is offered. `sasl`: path of a Dovecot authentication
    socket; AUTH is offered then. `main` and `master`: more lines for the two
    files."""

    def __init__(self, folder, domains=("postfix.test",), *, address="127.0.0.1", port=None,
                 certificate=None, sasl=None, main="", master=""):
        assert is_root(), "Postfix needs root"
        super().__init__(folder, "postfix")
        self.address, self.port = address, port or wait.free_port(address)
        for sub in ("etc", "queue", "data", "mail"):
            (self.folder / sub).mkdir()
        self._give_to(64101, self.folder / "data")
        self._give_to(MAIL_USER, self.folder / "mail")
        self.log = self.folder / "maillog"
        self._write_main(domains, certificate, sasl, main)
        self._write_master(master)
        self._start("/usr/sbin/postfix", "-c", self.folder / "etc", "start-fg")
        self._ready(lambda: wait.answers(self.address, self.port, b"220"), "Postfix answers")

    def messages(self, address):
        """All are in one Maildir, each says for whom it is."""
        mark = f"\nDelivered-To: {address.lower()}\n".encode()
        return [m for m in maildir_messages(self.folder / "mail" / "all") if mark in b"\n" + m]

    def queue(self):
        """What `postqueue -j` says, as text; empty when nothing waits."""
        return self.run("/usr/sbin/postqueue", "-c", self.folder / "etc", "-j")

    def _write_main(self, domains, certificate, sasl, more):
        rows = [
            "compatibility_level = 3.6",
            f"queue_directory = {self.folder}/queue", f"data_directory = {self.folder}/data",
            f"maillog_file = {self.log}", f"maillog_file_prefixes = {self.folder}",
            "myhostname = mx.postfix.test", "mydestination =", "mynetworks = [::1]/128",
            "inet_protocols = all", "alias_maps =", "alias_database =", "local_recipient_maps =",
            "smtpd_peername_lookup = no", "smtp_dns_support_level = disabled",
            "virtual_mailbox_domains = " + " ".join(domains),
            f"virtual_mailbox_base = {self.folder}/mail",
            "virtual_mailbox_maps = static:all/",
            f"virtual_uid_maps = static:{MAIL_USER}", f"virtual_gid_maps = static:{MAIL_USER}",
            "smtpd_relay_restrictions = permit_sasl_authenticated reject_unauth_destination",
            "smtputf8_enable = yes"]
        if certificate:
            rows += [f"smtpd_tls_cert_file = {certificate.cert}",
                     f"smtpd_tls_key_file = {certificate.key}",
                     "smtpd_tls_security_level = may", "smtpd_tls_received_header = yes"]
            self._hand_in(certificate.cert, certificate.key, rows)
        if sasl:
            rows += ["smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot",
                     f"smtpd_sasl_path = {sasl}", "smtpd_sasl_security_options = noanonymous"]
        (self.folder / "etc" / "main.cf").write_text("\n".join(rows) + "\n" + more + "\n")

    def _hand_in(self, cert, key, rows):
        """Only the test's folder is the same inside and outside: copies of the files."""
        for path in (cert, key):
            copy = self.folder / "etc" / path.name
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
            rows[:] = [row.replace(str(path), str(copy)) for row in rows]

    def _write_master(self, more):
        services = [
            f"{self.address}:{self.port} inet n - n - - smtpd",
            "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp",
            "relay unix - - n - - smtp", "showq unix n - n - - showq",
            "error unix - - n - - error", "retry unix - - n - - error",
            "discard unix - - n - - discard", "virtual unix - n n - - virtual",
            "lmtp unix - - n - - lmtp", "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd"]
        (self.folder / "etc" / "master.cf").write_text("\n".join(services) + "\n" + more + "\n")


class Dovecot(Peer, Mailboxes):
    """An LMTP server on `.port` and `.lmtp` (Unix socket), and an
    authentication server on `.auth` (Unix socket). `users`: full address ->
    password. Runs without root."""

    def __init__(self, folder, users, *, address="127.0.0.1", mechanisms="plain login", more=""):
        super().__init__(folder, "dovecot")
        self.address, self.port = address, wait.free_port(address)
        self.lmtp, self.auth = self.folder / "lmtp", self.folder / "auth"
        self.mechanisms, self.more = mechanisms, more
        (self.folder / "mail").mkdir()
        self._user = MAIL_USER if is_root() else os.getuid()
        self._give_to(self._user)
        self._give_to(self._user, self.folder / "mail")
        self.set_users(users)
        self._write_config()
        self.start()

    def start(self):
        for path in (self.lmtp, self.auth):
            path.unlink(missing_ok=True)
        self._start("/usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf",
                    user=MAIL_USER)
        self._ready(lambda: self.auth.exists() and wait.answers(self.address, self.port, b"220"),
                    "Dovecot answers")

    def set_users(self, users):
        rows = [f"{name}:{{PLAIN}}{password}::::::" for name, password in users.items()]
        path = self.folder / "users"
        path.write_text("\n".join(rows) + "\n")
        self._give_to(self._user, path)

    def maildir(self, address):
        user, _, domain = address.lower().partition("@")
        return self.folder / "mail" / domain / user

    def _write_config(self):
        name = "peermail" if is_root() else _own_name()
        group = "peermail" if is_root() else _own_group()
        folder = self.folder
        (folder / "dovecot.conf").write_text(f"""\
protocols = lmtp
base_dir = {folder}/run
state_dir = {folder}/run
instance_name = pabal-test
log_path = /dev/stderr
ssl = no
default_internal_user = {name}
default_login_user = {name}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 0
auth_mechanisms = {self.mechanisms}
auth_verbose = yes
auth_failure_delay = 0
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%d/%n
mail_uid = {self._user}
mail_gid = {self._user if is_root() else os.getgid()}
lda_mailbox_autocreate = yes
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
  default_fields = uid={self._user} gid={self._user if is_root() else os.getgid()} home={folder}/mail/%d/%n
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener {self.auth} {{
    mode = 0666
  }}
}}
service lmtp {{
  unix_listener {self.lmtp} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = {self.address}
    port = {self.port}
  }}
}}
{self.more}
""")


def _own_name():
    import pwd
    return pwd.getpwuid(os.getuid()).pw_name


def _own_group():
    import grp
    return grp.getgrgid(os.getgid()).gr_name
