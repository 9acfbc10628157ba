# SPDX-License-Identifier: ISC
"""The private socket of smtpd: a dialogue as anybody from anywhere, in which
nothing is ever accepted. With `explain`, the verdict behind each reply."""

import ipaddress
import json
import struct

from . import smtp

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SERVER, TLS, ACCOUNT, EXPLAIN, VOUCHED = 0xE0, 0xE1, 0xE2, 0xE3, 0xE4


def header(client, local=None, client_port=40000, local_port=0, tlvs=()):
    """A PROXY header of version 2."""
    client = ipaddress.ip_address(client)
    local = ipaddress.ip_address(local or ("0.0.0.0" if client.version == 4 else "::"))
    words = client.packed + local.packed + struct.pack(">HH", client_port, local_port)
    words += b"".join(struct.pack(">BH", kind, len(value)) + value for kind, value in tlvs)
    return SIGNATURE + struct.pack(">BBH", 0x21, 0x11 if client.version == 4 else 0x21,
                                   len(words)) + words


class Outside(smtp.Client):
    """`seen` is the verdict behind the last reply."""

    def __init__(self, running, client, *, server=None, tls=False, account=None, explain=False,
                 vouched=False, local=None, local_port=0):
        self.explain, self.seen = explain, None
        super().__init__(running.folder / "run" / "smtpd-private", banner=False)
        tlvs = [(kind, value) for kind, value in [
            (SERVER, server and server.encode()), (TLS, b"" if tls else None),
            (ACCOUNT, account and account.encode()), (EXPLAIN, b"" if explain else None),
            (VOUCHED, b"" if vouched else None)] if value is not None]
        self.send(header(client, local, local_port=local_port, tlvs=tlvs))
        self.banner = self.reply()

    def reply(self):
        """None when it is closed without a word, which is explained all the same."""
        while not self.buffer and (got := self.socket.recv(65536)):
            self.buffer += got
        reply = None if self.buffer.startswith(b"{") else super().reply()
        if self.explain:
            self.seen = json.loads(self._line())
        return reply
