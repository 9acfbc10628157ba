# SPDX-License-Identifier: ISC
"""A Kerberos realm of MIT's on loopback: KDC, principals, keytabs and tickets.
Nothing of it is told to the machine: programs find it by the environment."""

import os
import subprocess
from pathlib import Path

from . import peers, wait

MASTER = "master of the tests"


def preload():
    """The library that gives programs another time."""
    found = sorted((peers.PEERS / "root").glob("usr/lib/*/faketime/libfaketime.so.1"))
    assert found, "no libfaketime among the peers"
    return found[0]


class Realm(peers.Peer):
    """`users`: name -> password. `shift`: the KDC and those who have
    `.environment()` live so long ago ("-2d")."""

    def __init__(self, folder, realm, users, *, shift=None, address="127.0.0.1"):
        super().__init__(folder, "realm-" + realm.lower())
        self.folder.chmod(0o755)
        self.realm, self.shift, self.address = realm, shift, address
        self.port = wait.free_port_pair(address)
        self._write_config()
        self._tool("kdb5_util", "create", "-s", "-P", MASTER)
        self._admin(*(f'add_principal -pw "{password}" {name}'
                      for name, password in users.items()))
        self.start()

    def start(self):
        self._start("/usr/bin/env", *self._words(), "/usr/sbin/krb5kdc", "-n", "-P",
                    self.folder / "pid", "-r", self.realm)
        self._ready(lambda: "commencing operation" in self.log_text(), "the KDC commences")

    def keytab(self, principal, name="keytab"):
        """A file with new keys of a service, which is made if it is not there."""
        path = self.folder / name
        self._admin(f"add_principal -randkey {principal}", f"ktadd -k {path} {principal}")
        return path

    def environment(self, cache="none"):
        """For a client: where the realm is, and where its tickets are."""
        more = {"LD_PRELOAD": str(preload()), "FAKETIME": self.shift} if self.shift else {}
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"),
                "KRB5CCNAME": f"FILE:{self.folder / cache}", **more}

    def ticket(self, user, password, cache=None):
        """Logs a user in; the environment that has the ticket."""
        self.run("/usr/bin/env", *self._words(), f"KRB5CCNAME=FILE:{self.folder / (cache or user)}",
                 "sh", "-c", 'printf "%s\\n" "$2" | kinit "$1"', "kinit", f"{user}@{self.realm}",
                 password)
        return self.environment(cache or user)

    # ---- inside
    def _words(self):
        words = self.environment() | {"KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
                                      "KRB5RCACHENAME": "none:"}
        words.pop("KRB5CCNAME")
        if self.shift:  # as it is called in there
            inside = Path("/") / preload().relative_to(peers.PEERS / "root")
            words["LD_PRELOAD"] = str(inside)
        return [f"{name}={value}" for name, value in words.items()]

    def _tool(self, name, *words, input=""):
        done = subprocess.run(
            self._inside(["/usr/bin/env", *self._words(), f"/usr/sbin/{name}", "-r", self.realm,
                          *words]), input=input, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "Cannot" not in said, said
        return said

    def _admin(self, *commands):
        return self._tool("kadmin.local", input="\n".join(commands) + "\n")

    def _write_config(self):
        place = f"{self.address}:{self.port}"
        (self.folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {self.realm}\n dns_lookup_kdc = false\n"
            " dns_lookup_realm = false\n dns_canonicalize_hostname = false\n rdns = false\n"
            f"[realms]\n {self.realm} = {{\n  kdc = {place}\n }}\n"
            f"[domain_realm]\n mail.example.kr = {self.realm}\n")
        (self.folder / "kdc.conf").write_text(
            "[kdcdefaults]\n kdc_tcp_listen = \"\"\n"
            f"[realms]\n {self.realm} = {{\n  database_name = {self.folder}/principal\n"
            f"  key_stash_file = {self.folder}/stash\n  acl_file = {self.folder}/acl\n"
            f"  kdc_listen = {place}\n  kdc_tcp_listen = {place}\n"
            "  max_life = 10h\n  supported_enctypes = aes256-cts:normal\n }\n"
            "[logging]\n kdc = STDERR\n default = STDERR\n")


def have():
    """Whether this machine's curl speaks Kerberos."""
    said = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    return "GSS-API" in said


def curl(host, port, environment, *words, to, seconds=60):
    """Logs in as whoever has the ticket and sends a mail."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--verbose",
         "--resolve", f"{host}:{port}:127.0.0.1", "--mail-from", to, "--mail-rcpt", to,
         "--upload-file", "-", "--max-time", str(seconds), *words,
         f"smtp://{host}:{port}/client.example"],
        input="Subject: by ticket\r\n\r\nx\r\n", text=True, capture_output=True,
        env={**os.environ, **environment}, timeout=seconds + 20)
