# SPDX-License-Identifier: ISC
"""The client's side of SASL mechanisms, for SMTP and over a pabal.smtp.Client.

Each mechanism is a generator: it yields what the client says first (None when the
server has to begin), is sent each challenge, and yields the next response. What
the server proves is checked, too.

    reply = converse(client, "SCRAM-SHA-256", Who("kim", "secret"))
"""

import base64
import hashlib
import hmac
import os
import re
import struct
import time
from dataclasses import dataclass


@dataclass
class Who:
    """`password`: the token where the mechanism has one. `end_point`: of a channel
    binding, the SHA-256 of the server's certificate."""

    user: str
    password: str
    authzid: str = ""
    end_point: bytes = b""


class Overdone(AssertionError):
    """The server asks for more than the mechanism has."""


def encode(octets):
    return base64.b64encode(octets).decode()


def begin(mechanism, who, initial=True):
    if initial and mechanism == "LOGIN":
        return login_begun(who)
    return MECHANISMS[mechanism](who)


def converse(client, mechanism, who, initial=True):
    """The last reply. `initial`: the first response goes along with the command, where
    the client has one."""
    talk = begin(mechanism, who, initial)
    first = next(talk)
    if first is not None and initial:
        reply = client.command(f"AUTH {mechanism} {encode(first) or '='}")
    else:
        reply = client.command(f"AUTH {mechanism}")
        if first is not None and reply.code == 334:
            reply = client.command(encode(first))
    while reply.code == 334:
        try:
            response = talk.send(base64.b64decode(reply.text, validate=True))
        except StopIteration:
            raise Overdone(f"{mechanism}: {reply}") from None
        reply = client.command(encode(response))
    return reply


# ---- the password itself, a token, or nothing

def plain(who):
    yield "\0".join((who.authzid, who.user, who.password)).encode()


def login(who):
    assert (yield None) == b"Username:"
    assert (yield who.user.encode()) == b"Password:"
    yield who.password.encode()


def login_begun(who):
    """The name along with the command, as some clients do."""
    assert (yield who.user.encode()) == b"Password:"
    yield who.password.encode()


def external(who):
    yield who.authzid.encode()


def anonymous(who):
    yield who.user.encode()


def oauthbearer(who):
    refused = yield (f"n,a={who.authzid or who.user},\1host=mail.example.kr\1"
                     f"auth=Bearer {who.password}\1\1").encode()
    assert b'"status":"invalid_token"' in refused
    yield b"\1"  # RFC 7628 3.2.3


def xoauth2(who):
    refused = yield f"user={who.user}\1auth=Bearer {who.password}\1\1".encode()
    assert b'"status":"401"' in refused
    yield b""


# ---- challenges to a password that the server has, too

def cram_md5(who):
    challenge = yield None
    assert re.fullmatch(rb"<\d+\.\d+@mail\.example\.kr>", challenge)
    yield f"{who.user} {hmac.new(who.password.encode(), challenge, 'md5').hexdigest()}".encode()


def digest_md5(who):
    challenge = (yield None).decode()
    words = {key: value.strip('"') for key, value in
             re.findall(r'([a-z-]+)=("[^"]*"|[^",]*)', challenge)}
    assert words["algorithm"] == "md5-sess" and "auth" in words["qop"].split(",")
    realm, nonce, uri = words.get("realm", ""), words["nonce"], "smtp/mail.example.kr"
    cnonce = encode(os.urandom(12))

    def digest(method):
        secret = hashlib.md5(f"{who.user}:{realm}:{who.password}".encode()).digest()
        a1 = secret + f":{nonce}:{cnonce}".encode()
        a1 += f":{who.authzid}".encode() if who.authzid else b""
        text = ":".join((hashlib.md5(a1).hexdigest(), nonce, "00000001", cnonce, "auth",
                         hashlib.md5(f"{method}:{uri}".encode()).hexdigest()))
        return hashlib.md5(text.encode()).hexdigest()

    said = (f'charset=utf-8,username="{who.user}",realm="{realm}",nonce="{nonce}",nc=00000001,'
            f'cnonce="{cnonce}",digest-uri="{uri}",response={digest("AUTHENTICATE")},qop=auth')
    said += f',authzid="{who.authzid}"' if who.authzid else ""
    last = yield said.encode()
    assert last.decode() == f"rspauth={digest('')}"
    yield b""


# ---- SCRAM, RFC 5802 and 7677

def scram(name, binds=False):
    def talk(who):
        header = f"{'p=tls-server-end-point' if binds else 'n'}," \
                 f"{'a=' + who.authzid if who.authzid else ''},"
        nonce = encode(os.urandom(18))
        bare = f"n={who.user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        first = (yield (header + bare).encode()).decode()

        words = dict(part.split("=", 1) for part in first.split(","))
        assert words["r"].startswith(nonce) and len(words["r"]) > len(nonce) + 8
        salted = hashlib.pbkdf2_hmac(name, who.password.encode(),
                                     base64.b64decode(words["s"]), int(words["i"]))
        key = hmac.digest(salted, b"Client Key", name)
        without = f"c={encode(header.encode() + (who.end_point if binds else b''))},r={words['r']}"
        text = f"{bare},{first},{without}".encode()
        signature = hmac.digest(hashlib.new(name, key).digest(), text, name)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        last = yield f"{without},p={encode(proof)}".encode()

        expected = hmac.digest(hmac.digest(salted, b"Server Key", name), text, name)
        assert last.decode() == f"v={encode(expected)}", "the server does not know the password"
        yield b""
    return talk


# ---- NTLM (MS-NLMP), version 2

UNICODE, OEM, TARGET, NTLM_KEY = 0x1, 0x2, 0x4, 0x200


def md4(octets):
    """RFC 1320; OpenSSL keeps it among what is old."""
    mask = 0xffffffff
    state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
    rounds = (
        (lambda x, y, z: (x & y) | (~x & z), 0, (3, 7, 11, 19), range(16)),
        (lambda x, y, z: (x & y) | (x & z) | (y & z), 0x5a827999, (3, 5, 9, 13),
         (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
        (lambda x, y, z: x ^ y ^ z, 0x6ed9eba1, (3, 9, 11, 15),
         (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)))
    padded = octets + b"\x80" + b"\0" * (-(len(octets) + 9) % 64) + struct.pack("<Q", 8 * len(octets))
    for at in range(0, len(padded), 64):
        words = struct.unpack("<16I", padded[at:at + 64])
        a, b, c, d = state
        for mix, constant, shifts, order in rounds:
            for i, k in enumerate(order):
                t = (a + mix(b, c, d) + words[k] + constant) & mask
                s = shifts[i % 4]
                a, b, c, d = d, ((t << s) | (t >> (32 - s))) & mask, b, c
        state = [(old + new) & mask for old, new in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


def ntlm(who):
    flags = UNICODE | OEM | TARGET | NTLM_KEY
    challenge = yield b"NTLMSSP\0" + struct.pack("<II16x", 1, flags)
    assert challenge[:12] == b"NTLMSSP\0\2\0\0\0"
    length, _, at = struct.unpack("<HHI", challenge[12:20])
    unicode = struct.unpack("<I", challenge[20:24])[0] & UNICODE
    nonce, target = challenge[24:32], challenge[at:at + length]
    form = "utf-16-le" if unicode else "ascii"

    domain = target.decode(form)
    key = hmac.digest(md4(who.password.encode("utf-16-le")),
                      (who.user.upper() + domain).encode("utf-16-le"), "md5")
    mine = os.urandom(8)
    stamp = int((time.time() + 11644473600) * 10 ** 7)
    blob = struct.pack("<IIQ", 0x101, 0, stamp) + mine + b"\0" * 8
    fields = [hmac.digest(key, nonce + mine, "md5") + mine,
              hmac.digest(key, nonce + blob, "md5") + blob,
              domain.encode(form), who.user.encode(form), "CLIENT".encode(form), b""]
    head, body = b"NTLMSSP\0\3\0\0\0", b""
    for field in fields:
        head += struct.pack("<HHI", len(field), len(field), 64 + len(body))
        body += field
    yield head + struct.pack("<I", (UNICODE if unicode else OEM) | NTLM_KEY) + body


MECHANISMS = {
    "EXTERNAL": external,
    "SCRAM-SHA-512-PLUS": scram("sha512", True), "SCRAM-SHA-512": scram("sha512"),
    "SCRAM-SHA-256-PLUS": scram("sha256", True), "SCRAM-SHA-256": scram("sha256"),
    "SCRAM-SHA-1-PLUS": scram("sha1", True), "SCRAM-SHA-1": scram("sha1"),
    "DIGEST-MD5": digest_md5, "CRAM-MD5": cram_md5, "NTLM": ntlm,
    "OAUTHBEARER": oauthbearer, "XOAUTH2": xoauth2,
    "PLAIN": plain, "LOGIN": login, "ANONYMOUS": anonymous,
}
