# SPDX-License-Identifier: ISC
"""A private certificate authority, by the openssl command."""

import ssl
import subprocess
from pathlib import Path


class Certificate:
    """Paths of one certificate: `cert`, `key`, and both in one file `pem`."""

    def __init__(self, folder, stem):
        self.cert = Path(folder) / f"{stem}.crt"
        self.key = Path(folder) / f"{stem}.key"
        self.pem = Path(folder) / f"{stem}.pem"

    def _join(self):
        self.pem.touch(mode=0o640)
        self.pem.chmod(0o640)
        self.key.chmod(0o640)
        self.pem.write_bytes(self.cert.read_bytes() + self.key.read_bytes())


class Authority(Certificate):
    """Issues certificates into its folder. `cert` is what clients trust."""

    def __init__(self, folder, name="Test CA", stem="ca"):
        super().__init__(folder, stem)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        _openssl("req", "-x509", *_new_key("ec"), "-keyout", self.key, "-out", self.cert,
                 "-days", "30", "-subj", f"/CN={name}",
                 "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._join()

    def issue(self, name, names=(), addresses=(), key="ec", days=20, stem=None):
        """A certificate for a host (or a client); `key` is "ec" or "rsa"."""
        made = Certificate(self.folder, stem or f"{name}-{key}")
        alternatives = [f"DNS:{n}" for n in (name, *names)] + [f"IP:{a}" for a in addresses]
        _openssl("req", "-x509", "-CA", self.cert, "-CAkey", self.key, *_new_key(key),
                 "-keyout", made.key, "-out", made.cert, "-days", str(days),
                 "-subj", f"/CN={name}",
                 "-addext", "subjectAltName=" + ",".join(alternatives),
                 "-addext", "basicConstraints=CA:FALSE",
                 "-addext", "extendedKeyUsage=serverAuth,clientAuth")
        made._join()
        return made

    def client_context(self, certificate=None, least=ssl.TLSVersion.TLSv1_2):
        """Trusts this authority only; names are checked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = least
        context.load_verify_locations(self.cert)
        if certificate:
            context.load_cert_chain(certificate.cert, certificate.key)
        return context


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


def unchecked_context():
    """For tests in which the certificate is not the question."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _new_key(kind):
    if kind == "rsa":
        return ["-newkey", "rsa:2048", "-nodes"]
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
