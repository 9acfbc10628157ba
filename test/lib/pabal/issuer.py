# SPDX-License-Identifier: ISC
"""An issuer of tokens on loopback: signs JWTs with keys of its own, publishes
them, and answers introspection. Signing is PyJWT's and cryptography's."""

import base64
import http.server
import json
import socketserver
import threading
import time
import urllib.parse

import jwt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from . import tls

CLIENT = ("pabal", "s3cret:/ +%")  # needs the encoding of RFC 6749 2.3.1


def _number(value, octets=None):
    octets = octets or (value.bit_length() + 7) // 8
    return _text(value.to_bytes(octets, "big"))


def _text(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def forge(header, claims, signature=b""):
    """A token of any header, signed by nobody."""
    return ".".join(map(_text, (json.dumps(header).encode(), json.dumps(claims).encode(),
                                signature)))


class Key:
    """`algorithm`: RS256, PS256, ES256, EdDSA, ...; `jwk`: its public half."""

    def __init__(self, kid, algorithm="RS256"):
        self.kid, self.algorithm = kid, algorithm
        if algorithm.startswith("E") and algorithm != "EdDSA":
            curve, name, octets = {"ES256": (ec.SECP256R1(), "P-256", 32),
                                   "ES384": (ec.SECP384R1(), "P-384", 48)}[algorithm]
            self.private = ec.generate_private_key(curve)
            point = self.private.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": name, "x": _number(point.x, octets),
                        "y": _number(point.y, octets)}
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": _text(
                self.private.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw))}
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            numbers = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        self.jwk.update(kid=kid, use="sig")

    def sign(self, claims, **header):
        return jwt.encode(claims, self.private, algorithm=self.algorithm,
                          headers={"kid": self.kid, **header})


class Issuer:
    """`keys` are published and may be changed; `opaque`: token -> what introspection
    says of it, a function of the handler, or anything that is JSON. `asked`: the
    paths of all requests."""

    def __init__(self, certificate=None):
        self.keys = [Key("one")]
        self.opaque = {}
        self.asked = []
        self.held = threading.Event()  # answers to /slow wait for it
        self.context = tls.server_context(certificate) if certificate else None
        self.server = None
        self.port = 0
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        issuer = self

        class Handler(_Handler):
            owner = issuer

        self.server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def stop(self):
        if self.server:
            self.held.set()
            self.server.shutdown()
            self.server.end_connections()
            self.server.server_close()
            self.server = None

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    @property
    def name(self):
        return "https://id.example.kr"

    def claims(self, email="kim@example.kr", **more):
        now = int(time.time())
        found = {"iss": self.name, "aud": "pabal", "sub": "42", "email": email, "iat": now,
                 "exp": now + 600, **more}
        return {key: value for key, value in found.items() if value is not None}

    def token(self, email="kim@example.kr", key=None, header=None, **claims):
        return (key or self.keys[0]).sign(self.claims(email, **claims), **(header or {}))

    def requests(self, path):
        return self.asked.count(path)


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *words):
        self.connections = set()
        super().__init__(*words)

    def end_connections(self):
        """Also those that clients keep, which a process that ends would end."""
        for connection in list(self.connections):
            try:
                connection.shutdown(2)
            except OSError:
                pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        self.server.connections.add(self.request)
        if self.owner.context:
            try:
                self.request = self.owner.context.wrap_socket(self.request, server_side=True)
            except OSError:  # the client does not trust us
                self.handle = lambda: None
            self.server.connections.add(self.request)
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, status, content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.owner.asked.append(self.path)
        if self.path == "/jwks":
            self.answer(200, {"keys": [key.jwk for key in self.owner.keys]})
        elif self.path == "/empty":
            self.answer(200, {"keys": []})
        elif self.path == "/away":
            self.answer(302, b"", Location=f"{self.owner.url}/jwks")
        elif self.path == "/long":
            self.answer(200, b'{"keys":[],"x":"' + b"x" * (1 << 20) + b'"}')
        elif self.path == "/slow":
            self.owner.held.wait(60)
            self.answer(200, {"keys": [key.jwk for key in self.owner.keys]})
        else:
            self.answer(404, b"no")

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.owner.asked.append(self.path)
        if self.path == "/slow":
            self.owner.held.wait(60)
        if self.path not in ("/introspect", "/slow"):
            self.answer(404, b"no")
        elif not self._is_known():
            self.answer(401, {"error": "invalid_client"}, **{"WWW-Authenticate": "Basic"})
        else:
            token = dict(urllib.parse.parse_qsl(form)).get("token")
            self.answer(200, self.owner.opaque.get(token, {"active": False}))

    def _is_known(self):
        scheme, _, word = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        name, _, secret = base64.b64decode(word).decode().partition(":")
        return (urllib.parse.unquote(name), urllib.parse.unquote(secret)) == CLIENT
