# SPDX-License-Identifier: ISC
"""A domain controller of Samba's on loopback, with winbindd; takes the ports of
such a machine, so it wants a network of its own. Needs root."""

import os
import shutil
import subprocess
from pathlib import Path

from . import peers


class Domain(peers.Peer):
    """`users`: name -> password (of the kind that Windows asks for). `group`: whose members
    may reach winbindd's privileged pipe."""

    def __init__(self, folder, users, group, *, name="EXAMPLE", realm="AD.EXAMPLE.KR"):
        assert peers.is_root(), "a domain controller needs root"
        super().__init__(folder, "domain")
        self.folder.chmod(0o755)
        self.name, self.realm, self.group = name, realm, group
        self.mounted = []
        self.config = self.folder / "etc" / "smb.conf"
        self._provision()
        for user, password in users.items():
            self._tool("user", "create", user, password)
        self.start()

    def start(self):
        self._start("sh", "-c", f'{PREPARE}; exec samba -F --no-process-group --debug-stdout -s "$1"',
                    "sh", self.config)
        self._ready((self.folder / "winbindd" / "pipe").exists, "winbindd listens")
        pipe = self.folder / "state" / "winbindd_privileged"
        self._ready((pipe / "pipe").exists, "winbindd listens to the privileged")
        shutil.chown(pipe, group=self.group)
        self._show_pipe()

    def stop(self):
        super().stop()
        while self.mounted:
            subprocess.run(["umount", self.mounted.pop()], check=True)

    def _show_pipe(self):
        """Samba's programs look for winbindd at one place only. That is made in the tests'
        own mount namespace, where nobody else has anything in /run."""
        assert os.environ.get("PABAL_TEST_NETWORK"), "not on the machine itself"
        place = Path("/run/samba/winbindd")
        self._mount("-t", "tmpfs", "-o", "mode=755", "pabal-tests", "/run")
        place.mkdir(parents=True)
        self._mount("--bind", self.folder / "winbindd", place)

    def _mount(self, *words):
        subprocess.run(["mount", *map(str, words)], check=True)
        self.mounted.append(words[-1])

    def _tool(self, *words):
        self.run("sh", "-c", f'{PREPARE}; exec samba-tool "$@"', "sh", *words, "-s", self.config)

    def _provision(self):
        self.run("sh", "-c", f'{PREPARE}; rm -f /etc/samba/smb.conf; exec samba-tool "$@"', "sh",
                 "domain", "provision", f"--realm={self.realm}", f"--domain={self.name}",
                 "--adminpass=Of-the-tests-1", "--server-role=dc", "--dns-backend=NONE",
                 "--host-ip=127.0.0.1", "--host-name=dc", f"--targetdir={self.folder}",
                 *(f"--option={option}" for option in (
                     "interfaces=lo", "bind interfaces only=yes", "vfs objects=acl_xattr",
                     f"winbindd socket directory={self.folder}/winbindd",
                     "server services=rpc,ldap,cldap,kdc,winbindd",
                     f"log file={self.folder}/log.%m")))

    def helper(self):
        """A program that is ntlm_auth, for those who are not inside. It runs as another
        user, who cannot enter a tree in a closed home: the peers are shown at
        another place, in the mount namespace of the tests."""
        path = self.folder / "ntlm_auth"
        root = Path("/mnt")
        subprocess.run(["mount", "--bind", peers.PEERS / "root", root], check=True)
        libraries = [d for d in root.glob("usr/lib/*-linux-gnu")]
        folders = ":".join(str(f) for d in libraries for f in (d, d / "samba"))
        path.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{folders}" exec "{root}/usr/bin/ntlm_auth" '
                        f'--configfile="{self.config}" "$@"\n')
        path.chmod(0o755)
        return path


# Where Samba wants folders whatever its configuration says.
PREPARE = "mkdir -p /var/lib/samba/private /var/cache/samba /run/samba /var/log/samba /etc/samba"

# Logs in by GSS-SPNEGO: HOST PORT USER PASSWORD; ends with the code of the last reply.
SPNEGO = '''
import base64, smtplib, ssl, sys
from samba import credentials, gensec, param
host, port, domain, user, password = sys.argv[1:]
lp = param.LoadParm(); lp.set("workgroup", domain)
who = credentials.Credentials(); who.guess(lp)
who.set_username(user); who.set_password(password); who.set_domain(domain)
who.set_kerberos_state(credentials.DONT_USE_KERBEROS)
client = gensec.Security.start_client({"lp_ctx": lp, "target_hostname": host})
client.set_credentials(who); client.set_target_service("smtp"); client.set_target_hostname(host)
client.want_feature(gensec.FEATURE_SIGN)
client.start_mech_by_name("spnego")
smtp = smtplib.SMTP(host, int(port), timeout=60)
context = ssl.create_default_context(); context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
smtp.starttls(context=context); smtp.ehlo("client.example")
done, token = client.update(b"")
code, text = smtp.docmd("AUTH", "GSS-SPNEGO " + base64.b64encode(token).decode())
while code == 334:
    token = b""
    if not done:
        done, token = client.update(base64.b64decode(text))
    code, text = smtp.docmd(base64.b64encode(token).decode())
print(code)
'''


def log_in_by_spnego(domain, port, user, password):
    said = domain.run("/usr/bin/python3", "-W", "ignore", "-c", SPNEGO, "127.0.0.1", port,
                      domain.name, user, password)
    return int(said.split()[-1])
