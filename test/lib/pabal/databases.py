# SPDX-License-Identifier: ISC
"""Real databases and directories for the password sources: PostgreSQL, MariaDB,
OpenLDAP's slapd. As in peers.py: each is started by its constructor and is
ready when that returns; `start` after `stop` is a restart."""

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from . import peers, wait

# A busy machine makes a database slowly; only what hangs is caught.
SLOW = 90


@contextlib.contextmanager
def folder_for(name):
    """A folder for all tests of a file, which every user can reach (pytest's own cannot)."""
    base = os.environ.get("PABAL_TEST_FOLDER", tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=base,
                                     ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


class Database(peers.Peer):
    """A server that runs without root and has its folder to itself."""

    def __init__(self, folder, name, address="127.0.0.1"):
        super().__init__(folder, name)
        self.address, self.port = address, wait.free_port(address)
        self.user = peers.MAIL_USER
        self._give_to(self.user)

    def _hand_in(self, certificate):
        """Copies of the certificate and its key that only the server can read."""
        paths = []
        for path in (certificate.cert, certificate.key):
            copy = self.folder / path.name
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
            self._give_to(self.user, copy)
            paths.append(copy)
        return paths

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        self._give_to(self.user, path)
        return path

    def _family(self):
        """Its processes: children may lead groups of their own."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                words = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(words[1]), []).append(int(path.parent.name))
        family, todo = [], [self.process.pid]
        while todo:
            family.append(todo.pop())
            todo += parents.get(family[-1], [])
        return family

    def _signal(self, number):
        for pid in self._family():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def restart(self):
        self.stop()
        self.start()


class PostgreSQL(Database):
    """`script` is run as its owner, `postgres`, in the database `postgres`. Others log in with
    their passwords."""

    def __init__(self, folder, script, certificate=None, name="postgresql"):
        super().__init__(folder, name)
        self.bin = self._find()
        self.data = self.folder / "data"
        password = self._write("password", "owner\n")
        self.run(self.bin / "initdb", "--pgdata", self.data, "--username=postgres",
                 "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--encoding=UTF8",
                 "--locale=C.UTF-8", user=self.user)
        rows = [f"listen_addresses = '{self.address}'", f"port = {self.port}",
                f"unix_socket_directories = '{self.folder}'", "fsync = off",
                "shared_buffers = 1MB", "max_connections = 20", "dynamic_shared_memory_type = mmap",
                "log_statement = all", "autovacuum = off"]
        if certificate:
            cert, key = self._hand_in(certificate)
            rows += ["ssl = on", f"ssl_cert_file = '{cert}'", f"ssl_key_file = '{key}'"]
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write("\n".join(rows) + "\n")
        self._single_user(script)
        self.start()

    @staticmethod
    def _find():
        for root in (peers.PEERS / "root", Path("/")):
            for path in sorted(root.glob("usr/lib/postgresql/*/bin/initdb")):
                return Path("/") / path.parent.relative_to(root)
        raise AssertionError("no PostgreSQL among the peers")

    def _single_user(self, script):
        """What is to be there before anybody connects. ";" and an empty line end a statement."""
        done = subprocess.run(
            self._inside([self.bin / "postgres", "--single", "-j", "-D", self.data, "postgres"],
                         self.user), input=script, capture_output=True, text=True)
        if done.returncode or "ERROR" in done.stderr:
            raise AssertionError(done.stdout + done.stderr)

    def start(self):
        self._start(self.bin / "postgres", "-D", self.data, user=self.user)
        self._ready(lambda: wait.answers(self.address, self.port)
                    and "ready to accept connections" in self._since_start(), "PostgreSQL answers")

    def _start(self, *command, user=None):
        self._offset = len(self.log_text())
        super()._start(*command, user=user)

    def _since_start(self):
        return self.log_text()[self._offset:]

    def stop(self):
        if self.process and self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)  # SIGTERM waits until all have gone
            try:
                self.process.wait(SLOW)
            except subprocess.TimeoutExpired:
                pass
        super().stop()


class MariaDB(Database):
    """`script` is run once, with all rights; it makes databases and users."""

    def __init__(self, folder, script, certificate=None, name="mariadb"):
        super().__init__(folder, name)
        self.socket = self.folder / "mysqld.sock"
        self.data = self.folder / "data"
        self.run("/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
                 "--auth-root-authentication-method=normal", "--skip-test-db",
                 f"--tmpdir={self.data}",
                 "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=16M", user=self.user)
        self.words = [
            "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}",
            f"--tmpdir={self.data}",
            f"--socket={self.socket}", f"--bind-address={self.address}", f"--port={self.port}",
            f"--pid-file={self.folder}/pid", "--innodb-buffer-pool-size=16M",
            "--innodb-flush-method=nosync", "--skip-name-resolve", "--performance-schema=off",
            f"--init-file={self._write('init.sql', script)}"]
        if certificate:
            cert, key = self._hand_in(certificate)
            self.words += [f"--ssl-cert={cert}", f"--ssl-key={key}"]
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        self._start(*self.words, user=self.user)
        self._ready(lambda: self.socket.exists() and wait.answers(self.address, self.port),
                    "MariaDB answers")


class Slapd(Database):
    """One database below `suffix` with the entries of `ldif`; the manager is
    cn=admin,SUFFIX with the password "manager". `rules` are lines of `access`."""

    def __init__(self, folder, suffix, ldif, rules, certificate=None, name="slapd"):
        super().__init__(folder, name)
        self.uri = f"ldap://{self.address}:{self.port}"
        self.ldaps_port = wait.free_port(self.address)
        (self.folder / "data").mkdir()
        self._give_to(self.user, self.folder / "data")
        rows = ["include /etc/ldap/schema/core.schema", "include /etc/ldap/schema/cosine.schema",
                "include /etc/ldap/schema/inetorgperson.schema",
                "modulepath /usr/lib/ldap", "moduleload back_mdb",
                f"pidfile {self.folder}/pid", "threads 4"]
        if certificate:
            cert, key = self._hand_in(certificate)
            rows += [f"TLSCertificateFile {cert}", f"TLSCertificateKeyFile {key}"]
        rows += ["database mdb", f"suffix {suffix}", f"directory {self.folder}/data",
                 "dbnosync", "maxsize 16777216",
                 f"rootdn cn=admin,{suffix}", "rootpw manager", rules]
        self.config = self._write("slapd.conf", "\n".join(rows) + "\n")
        self.run("/usr/sbin/slapadd", "-q", "-f", self.config, "-l", self._write("ldif", ldif),
                 user=self.user)
        self.other_address = "127.0.0.2"  # a name that the certificate lacks
        self.uris = [f"ldap://{a}:{self.port}" for a in (self.address, self.other_address)]
        if certificate:
            self.uris += [f"ldaps://{a}:{self.ldaps_port}"
                          for a in (self.address, self.other_address)]
        self.start()

    def start(self):
        self._start("/usr/sbin/slapd", "-f", self.config, "-h", " ".join(self.uris), "-d", "stats",
                    user=self.user)
        self._ready(lambda: wait.answers(self.address, self.port), "slapd answers")
