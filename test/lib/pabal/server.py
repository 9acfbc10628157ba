# SPDX-License-Identifier: ISC
"""The server under test: a family of processes with a folder, a configuration
and a log that a test can wait on.

    server = Pabal(folder, certificate=certificate)
    server.account("kim@example.kr", "secret")
    client = server.client("submission")
    server.await_event("accept", account="kim@example.kr")
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from . import peers, smtp, wait

BINARY = Path(os.environ.get("PABAL_BIN", peers.TREE / "build" / "pabal"))

# Who the server is when the tests run as root and it should not.
PLAIN_USER = 65534

# $listen_NAME becomes 127.0.0.1:PORT, $listen6_NAME [::1]:PORT, each with a free
# port; $folder and the words given to Pabal() are put in, too.
USUAL = """\
hostname "mail.example.kr"
domains { "example.kr" }
postmaster "kim@example.kr"
state-folder "$folder/state"
run-folder "$folder/run"
log { to stderr format json level debug }
tls { certificate "$certificate" }
resolver { servers "$dns" }
limits { workers 2 }
queue { senders 2 }
server "mx" { listen "$listen_mx"  listen "$listen6_mx" }
server "submission" { listen "$listen_submission" require { tls auth } }
server "submissions" { listen "$listen_submissions" tls implicit require { auth } }
auth { source "accounts" }
deliver { maildir "$folder/mail/%d/%u/Maildir" }
"""

NO_DNS = "127.0.0.1:9"

ROLE_USERS = ["pabal-" + role for role in "config smtpd auth source queue sender dns mail web".split()]
ROLE_GROUPS = [*ROLE_USERS, "pabal-admin"]


class Template(string.Template):
    idpattern = "[a-z][a-z0-9_]*"


class Pabal:
    """`config`: the whole configuration; `more`: lines added to it. `dns`: the
    name server's ADDRESS:PORT. `as_root`: with the roles' own users (needs
    root); else everything runs as one plain user. `words`: for the template."""

    def __init__(self, folder, config=USUAL, more="", *, certificate=None, dns=NO_DNS,
                 as_root=False, start=True, environment=None, name="pabal", **words):
        self.folder = Path(folder) / name
        self.as_root = as_root
        if as_root:
            make_role_users()
        self.environment = environment or {}
        self.listeners = {}
        self.process = None
        self.log = Log()
        for sub in ("", "state", "run", "mail", "tls"):
            (self.folder / sub).mkdir(mode=0o755, exist_ok=True)
        self.words = {"folder": str(self.folder), "dns": dns, **words}
        if certificate:
            self.words["certificate"] = str(self.put_certificate(certificate))
        self.config = self.folder / "pabal.conf"
        self.template = config + more + "\n"
        self.write_config()
        self._give_folder()
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- configuration

    def write_config(self, config=None):
        """Writes the file anew, from another template if there is one; the
        ports of listeners that stay are kept. See reload()."""
        self.template = config or self.template
        values = _Words(self)
        text = Template(self.template).substitute(values)
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(self.config)

    def put_certificate(self, certificate, name="server.pem"):
        """Puts a copy where the server may read it, by a rename over the old."""
        path = self.folder / "tls" / name
        new = path.with_suffix(".new")
        new.touch(mode=0o640)
        new.write_bytes(certificate.pem.read_bytes())
        if peers.is_root() and not self.as_root:
            shutil.chown(new, PLAIN_USER, PLAIN_USER)
        new.rename(path)
        return path

    def listener(self, name):
        """(address, port) of $listen_NAME."""
        return self.listeners[name]

    def port(self, name="mx"):
        return self.listeners[name][1]

    def _give_folder(self):
        if peers.is_root() and not self.as_root:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, PLAIN_USER, PLAIN_USER)
        elif self.as_root:
            shutil.chown(self.folder / "mail", "pabal-mail", "pabal-mail")

    # ---- processes

    def command(self, *words, plain=True):
        """The words to run the binary with; as the server's user."""
        if plain and peers.is_root() and not self.as_root:
            return ["setpriv", f"--reuid={PLAIN_USER}", f"--regid={PLAIN_USER}",
                    "--clear-groups", "--inh-caps=-all", str(BINARY), *map(str, words)]
        if not peers.is_root():
            # the tests' namespace gives rights that the server should not have
            return ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", str(BINARY),
                    *map(str, words)]
        return [str(BINARY), *map(str, words)]

    def environ(self):
        # Leaks are the unit tests' matter: a role that is not dumpable cannot be
        # searched for them.
        return {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
                "UBSAN_OPTIONS": "print_stacktrace=1", **self.environment}

    def start(self, ready=True):
        with self._notify_socket() as notified:
            self.process = subprocess.Popen(
                self.command("serve", "-c", self.config), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=self.folder, env={**self.environ(), "NOTIFY_SOCKET": notified.getsockname()})
            self.log.follow(self.process.stdout)
            if ready:
                self._wait_ready(notified)

    def _notify_socket(self):
        """As systemd has it: the server says there when it is ready."""
        path = self.folder / "notify"
        path.unlink(missing_ok=True)
        notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notified.bind(str(path))
        path.chmod(0o666)
        return notified

    def _wait_ready(self, notified, seconds=30):
        notified.settimeout(0.2)
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if b"READY=1" in notified.recv(4096):
                    return
            except TimeoutError:
                pass
        ended = self.process.poll()
        self.kill()
        raise AssertionError((f"not ready in {seconds} s" if ended is None else
                              f"the server ended with {ended}") + f"\nlog:\n{self.log.text()}")

    def _implicit(self, name):
        return re.search(rf"\$listen6?_{re.sub('^6:', '', name)}\"[^{{}}]*implicit", self.template)

    def run(self, *words, input=None, check=True, seconds=60):
        """A subcommand, with `-c`; the finished process with its text."""
        done = subprocess.run(self.command(*words, "-c", self.config), input=input, text=True,
                              capture_output=True, env=self.environ(), timeout=seconds)
        _no_sanitizer_report(done.stdout + done.stderr)
        if check and done.returncode:
            raise AssertionError(f"pabal {' '.join(words)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def account(self, name, password):
        self.run("account", "add", name, input=password + "\n")

    def status(self, kind=None):
        """The rows of `pabal status --json`, whatever its exit says; those of one
        kind ("role", "listener" ...) if named."""
        rows = _rows(self.run("status", "--json", check=False).stdout)
        return [row for row in rows if kind is None or row.get("kind") == kind]

    def queue(self):
        """The rows of `pabal queue list --json`."""
        return _rows(self.run("queue", "list", "--json").stdout)

    def reload(self):
        """By the command; returns when it says that it is done."""
        return self.run("reload", check=False)

    def family(self):
        """pid -> title of each process of the server, the master included."""
        found = {self.process.pid: "master"}
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except (OSError, UnicodeDecodeError):
                    continue
                parents[int(entry.name)] = (int(stat.rpartition(")")[2].split()[1]), title,
                                            stat.rpartition(")")[2].split()[0])
        grown = True
        while grown:
            grown = False
            for pid, (parent, title, state) in parents.items():
                if parent in found and pid not in found and state != "Z":
                    found[pid] = title.strip()
                    grown = True
        return found

    def pids(self, role):
        """Of all processes of a role, by the name in their command line."""
        pattern = re.compile(rf"\b{re.escape(role)}\b")
        return sorted(pid for pid, title in self.family().items()
                      if pid != self.process.pid and pattern.search(title))

    def signal_role(self, role, number=signal.SIGKILL, which=None):
        """To all processes of a role, or to one of them; their pids."""
        pids = self.pids(role)
        assert pids, f"no {role} in {self.family()}"
        pids = pids if which is None else [pids[which]]
        for pid in pids:
            os.kill(pid, number)
        return pids

    def kill(self):
        """The whole family at once, as a power cut would."""
        if not self.process:
            return
        for pid in [*self.family(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)
        self.log.ended()
        self.process = None

    def stop(self, seconds=20):
        """Asks it to end; it and all its children have to. Then looks for what
        the sanitizers said."""
        if self.process:
            family = self.family()
            for pid in family:
                with contextlib.suppress(ProcessLookupError):  # an old generation just ended
                    os.kill(pid, signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"did not stop:\n{self.log.text()[-6000:]}") from None
            wait.until(lambda: not any(_runs(pid) for pid in family), 10, "children end")
            self.log.ended()
            self.process = None
        _no_sanitizer_report(self.log.text())

    # ---- clients

    def client(self, name="mx", **words):
        address, port = self.listeners[name]
        if self._implicit(name):
            words["implicit"] = True
        return smtp.Client(address, port, **words)

    def session(self, user="kim@example.kr", password="secret", name="submission", **words):
        """A client after EHLO, STARTTLS, EHLO and AUTH."""
        client = self.client(name, **words)
        client.ehlo()
        if not self._implicit(name):
            assert client.starttls().code == 220
            client.ehlo()
        reply = client.auth_plain(user, password)
        assert reply.code == 235, reply
        return client

    # ---- what came out

    def maildir(self, address):
        user, _, domain = address.partition("@")
        return self.folder / "mail" / domain / user / "Maildir"

    def messages(self, address):
        return peers.maildir_messages(self.maildir(address))

    def wait_messages(self, address, count=1, seconds=20):
        return wait.until(
            lambda: len(self.messages(address)) >= count and self.messages(address), seconds,
            f"{count} messages for {address}")

    def await_event(self, event, seconds=10, since=0, **fields):
        return self.log.await_event(event, seconds, since, **fields)


def make_role_users():
    """The users of the role table, for the tests only: files mounted over those
    of the machine, in the mount namespace that the tests have."""
    assert os.environ.get("PABAL_TEST_NETWORK"), "not on the machine itself"
    for path, names, row in (("/etc/group", ROLE_GROUPS, "{0}:x:{1}:"),
                             ("/etc/passwd", ROLE_USERS,
                              "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin")):
        text = Path(path).read_text()
        lines = [row.format(name, 64200 + number) for number, name in enumerate(names)
                 if not re.search(rf"^{name}:", text, re.M)]
        if not lines:
            continue
        with tempfile.NamedTemporaryFile("w", delete=False) as new:
            new.write(text.rstrip("\n") + "\n" + "\n".join(lines) + "\n")
        os.chmod(new.name, 0o644)
        subprocess.run(["mount", "--bind", new.name, path], check=True)


class _Words(dict):
    def __init__(self, server):
        super().__init__(server.words)
        self.server = server

    def __missing__(self, key):
        kind, _, name = key.partition("_")
        if kind not in ("listen", "listen6") or not name:
            raise KeyError(key)
        address = "::1" if kind == "listen6" else "127.0.0.1"
        name = f"6:{name}" if kind == "listen6" else name
        if name not in self.server.listeners:
            self.server.listeners[name] = (address, wait.free_port(address))
        port = self.server.listeners[name][1]
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Log:
    """The lines of a server, as they come. Events are JSON, one a line; other
    lines (a sanitizer's) are kept as text."""

    def __init__(self):
        self.lines = []
        self.changed = threading.Condition(threading.RLock())
        self.reader = None

    def follow(self, stream):
        self.reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.reader.start()

    def _read(self, stream):
        for raw in stream:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        stream.close()

    def ended(self):
        if self.reader:
            self.reader.join(10)

    def mark(self):
        """For `since`: only what comes from now on."""
        with self.changed:
            return len(self.lines)

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def events(self, event=None, since=0, **fields):
        """Those of that name whose fields are so: a value is equal, a compiled
        pattern is found in it, `...` is there at all."""
        with self.changed:
            rows = list(self.lines[since:])
        found = (_event(row) for row in rows)
        return [e for e in found if e and (event is None or e.get("event") == event)
                and all(_fits(e.get(key), value) for key, value in fields.items())]

    def await_event(self, event, seconds=10, since=0, **fields):
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = self.events(event, since, **fields)
                if found:
                    return found[0]
                left = end - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    break
        raise wait.Late(f"no event {event} {fields} within {seconds} s; the last lines:\n"
                        + "\n".join(self.lines[-30:]))


def _rows(text):
    return [json.loads(row) for row in text.splitlines() if row.strip()]


def _event(row):
    if not row.startswith("{"):
        return None
    try:
        return json.loads(row)
    except ValueError:
        return None


def _fits(value, wanted):
    if wanted is ...:
        return value is not None
    if isinstance(wanted, re.Pattern):
        return value is not None and bool(wanted.search(str(value)))
    return str(value) == str(wanted)


# That the search for leaks cannot look into a confined role is no finding.
SANITIZER = re.compile(r"AddressSanitizer:|LeakSanitizer: detected|runtime error:")


def _no_sanitizer_report(text):
    found = SANITIZER.search(text)
    if found:
        at = max(0, found.start() - 200)
        raise AssertionError("the server broke a rule of C:\n" + text[at:at + 6000])


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
