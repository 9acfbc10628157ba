# SPDX-License-Identifier: ISC
"""Logging in at smart hosts with tokens: Postfix with the authentication of
Dovecot, and a token endpoint that plays the provider."""

import base64
import hashlib
import hmac
import http.server
import json
import re
import shutil
import threading
import time
import urllib.parse

import pytest

from pabal import server, tls, wait
from pabal.smarthost import (  # noqa: F401 (fixtures)
    ME, address, logins, owned, postfix, refusals, result, run, submit)

pytestmark = pytest.mark.root


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Provider:
    """Makes access tokens that the peers believe (JWT), and an HTTPS endpoint that
    gives them for a refresh token, another one each time."""

    def __init__(self, certificate, address="127.0.0.1"):
        self.key = b"0123456789abcdef0123456789abcdef"
        self.refresh = ["refresh-0"]
        self.asked = []
        self.answer = None     # (status, text) in place of a token
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                status, text = outer.take(form)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.http.socket = tls.server_context(certificate).wrap_socket(self.http.socket, server_side=True)
        self.endpoint = f"https://localhost:{self.http.server_address[1]}/token"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def token(self, key=None, name=ME, life=3600):
        now = int(time.time())
        parts = [{"alg": "HS256", "typ": "JWT"},
                 {"sub": name, "email": name, "iat": now - 5, "exp": now + life, "iss": "provider",
                  "aud": "mail", "nonce": len(self.asked)}]
        text = ".".join(b64(json.dumps(part).encode()) for part in parts)
        return text + "." + b64(hmac.new(key or self.key, text.encode(), hashlib.sha256).digest())

    def take(self, form):
        self.asked.append(form)
        if self.answer:
            return self.answer
        if (form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh[-1]
                or form.get("client_id") != "pabal" or form.get("client_secret") != "s&cret"):
            return 400, json.dumps({"error": "invalid_grant", "error_description": "not the last one"})
        self.refresh.append(f"refresh-{len(self.refresh)}")
        return 200, json.dumps({"access_token": self.token(), "token_type": "Bearer", "expires_in": 3600,
                                "refresh_token": self.refresh[-1]})

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def provider(start, certificate):
    return start(Provider, certificate)


@pytest.fixture
def token_file(folder, provider):
    """token_file(access_token, expires_at): in a folder of the server's own; the settings."""
    def make(access, expires, **more):
        place = folder / "tokens"
        place.mkdir(exist_ok=True)
        shutil.chown(place, server.PLAIN_USER, server.PLAIN_USER)
        path = owned(place / "me.json", json.dumps({
            "access_token": access, "expires_at": expires, "refresh_token": provider.refresh[-1],
            "client_id": "pabal", "client_secret": "s&cret", "token_endpoint": provider.endpoint,
            "scope": "https://mail/ offline_access", **more}))
        make.path = path
        return f'user "{ME}"\n\ttoken-file "{path}"'
    return make


@pytest.fixture
def oauth(postfix, folder, provider):
    """oauth(mechanisms): a Postfix whose Dovecot believes the provider's tokens."""
    def make(mechanisms="plain xoauth2 oauthbearer"):
        keys = folder / "keys" / "default" / "HS256"
        keys.mkdir(parents=True)
        (keys / "default").write_text(base64.b64encode(provider.key).decode())
        (folder / "oauth2.conf").write_text(
            "introspection_mode = local\nusername_attribute = email\n"
            f"local_validation_key_dict = fs:posix:prefix={folder}/keys/\n")
        return postfix(mechanisms, more=f"""\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
""")
    return make


def assert_no_secrets(running, provider):
    text = running.log.text()
    for secret in [*provider.refresh, "s&cret", provider.token().partition(".")[0]]:
        assert secret not in text


@pytest.mark.parametrize("offered, used", [("plain xoauth2 oauthbearer", "OAUTHBEARER"),
                                           ("plain xoauth2", "XOAUTH2")])
def test_an_access_token_is_renewed_before_it_ends(run, oauth, provider, token_file, offered, used):
    host = oauth(offered)
    running = run(token_file("", 0) if used == "XOAUTH2" else
                  token_file(provider.token(life=30), int(time.time()) + 30))
    submit(running)
    result(running, "delivered")
    submit(running)
    host.wait_messages("lee@postfix.test", 2)
    wait.until(lambda: logins(host) == [(used, ME)] * 2)
    assert not refusals(host)
    assert len(provider.asked) == 1
    assert provider.asked[0]["scope"] == "https://mail/ offline_access"
    written = json.loads(token_file.path.read_text())
    assert written["refresh_token"] == "refresh-1" and written["expires_at"] > time.time() + 3000
    assert written["client_id"] == "pabal"
    assert token_file.path.stat().st_mode & 0o777 == 0o600
    assert_no_secrets(running, provider)


@pytest.mark.parametrize("offered", ["plain xoauth2 oauthbearer", "plain xoauth2"])
def test_a_refused_token_is_renewed_on_the_same_connection(run, oauth, provider, token_file, offered):
    """It had been taken back: the host knew, we did not."""
    host = oauth(offered)
    running = run(token_file(provider.token(key=b"x" * 32), int(time.time()) + 3600))
    submit(running)
    result(running, "delivered")
    wait.until(lambda: len(refusals(host)) == 1 and len(logins(host)) == 1)
    assert len(provider.asked) == 1
    wait.until(lambda: re.search(r"disconnect from .* starttls=1 auth=1/2 mail=1 ", host.log_text()),
               10, "one connection had both")
    assert not running.log.events("result", outcome="deferred")
    assert_no_secrets(running, provider)


def test_what_the_endpoint_refuses_is_said_and_a_new_file_helps(run, oauth, provider, token_file):
    oauth()
    provider.answer = (400, json.dumps({
        "error": "invalid_grant", "error_description": "AADSTS700082: expired due to inactivity"}))
    running = run(token_file("", 0))
    submit(running)
    event = result(running, "deferred")
    assert event["status"] == "4.7.8"
    for words in ("login OAUTHBEARER failed", "me.json", "said 400 invalid_grant: AADSTS700082"):
        assert words in event["reason"], event
    # the administrator consents again: nothing need be reloaded
    provider.answer = None
    token_file("", 0)
    result(running, "delivered")
    assert_no_secrets(running, provider)


def test_a_token_without_a_way_to_renew_it(run, oauth, provider, token_file):
    host = oauth()
    running = run(token_file(provider.token(key=b"x" * 32), 0, refresh_token=None))
    submit(running)
    event = result(running, "deferred")
    assert "the host refuses the access token" in event["reason"]
    wait.until(lambda: refusals(host))
    token_file(provider.token(), 0, refresh_token=None)
    result(running, "delivered")
    assert not provider.asked


def test_an_endpoint_with_a_foreign_certificate_gets_nothing(
        run, oauth, provider, token_file, tmp_path_factory, start):
    oauth()
    forged = tls.Authority(tmp_path_factory.mktemp("forged")).issue("localhost")
    forger = start(Provider, forged)
    running = run(token_file("", 0, token_endpoint=forger.endpoint))
    submit(running)
    assert "certificate" in result(running, "deferred")["reason"]
    assert not forger.asked


def test_a_file_that_others_can_read_is_not_used(run, oauth, provider, token_file):
    oauth()
    settings = token_file("", 0)
    token_file.path.chmod(0o644)
    running = run(settings)
    submit(running)
    assert "others may read it: chmod 600" in result(running, "deferred")["reason"]
    token_file.path.chmod(0o600)
    result(running, "delivered")


def test_a_renewed_token_outlives_a_folder_that_cannot_be_written(run, oauth, provider, token_file):
    host = oauth()
    settings = token_file("", 0)
    shutil.chown(token_file.path.parent, 0, 0)
    token_file.path.parent.chmod(0o755)
    running = run(settings)
    submit(running)
    submit(running)
    host.wait_messages("lee@postfix.test", 2)
    assert len(provider.asked) == 1
    assert json.loads(token_file.path.read_text())["refresh_token"] == "refresh-0"
    event = running.await_event("auth", reason=re.compile("stays in memory only"))
    assert "pabal-source may write to" in event["reason"]
