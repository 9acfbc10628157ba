# SPDX-License-Identifier: ISC
"""Bearer tokens and a real issuer on loopback: the source by itself."""

import json
import time

import jwt
import pytest

from pabal import issuer as issuers, sources, tls

KIM = "kim@example.kr"


@pytest.fixture
def issuer(certificate):
    with issuers.Issuer(certificate) as running:
        yield running


@pytest.fixture
def ask(folder, issuer, ca):
    """A source by itself, with the issuer's keys unless told otherwise."""
    made = []

    def make(*, jwks="/jwks", introspection=None, **more):
        settings = {"issuer": issuer.name, "audience": "pabal", "ca_file": ca.cert,
                    "account_claim": "email", "timeout": 20000, "connections": 4, **more}
        if jwks:
            settings["jwks"] = issuer.url + jwks
        if introspection:
            (folder / "secret").write_text(issuers.CLIENT[1] + "\n")
            settings = {"introspection": issuer.url + introspection, "login": issuers.CLIENT[0],
                        "password_file": folder / "secret", **settings}
        source = sources.Source(folder, "oauth", **{k: v for k, v in settings.items()
                                                    if v is not None})
        made.append(source)
        return lambda token, name="": source.ask(name, token, "token")()

    yield make
    for source in made:
        source.close()


# ---- by signature

@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "PS384", "ES256", "ES384",
                                       "EdDSA"])
def test_signatures(ask, issuer, algorithm):
    issuer.keys = [issuers.Key("one", algorithm), issuers.Key("two", algorithm)]
    check = ask()
    for key in issuer.keys:
        answer = check(issuer.token(key=key))
        assert (answer.verdict, answer.account) == ("yes", KIM), answer
    stranger = issuers.Key("one", algorithm)
    answer = check(issuer.token(key=stranger))
    assert answer.verdict == "no" and "signature is wrong" in answer.reason, answer
    assert issuer.requests("/jwks") == 1, "the keys are kept"


def test_what_a_token_must_say(ask, issuer):
    now = int(time.time())
    check = ask()
    for verdict, reason, claims in [
            ("yes", "", {"exp": now - 5}), ("yes", "", {"nbf": now + 5}),
            ("yes", "", {"aud": ["other", "pabal"]}),
            ("no", "expired", {"exp": now - 600}), ("no", "does not say when", {"exp": None}),
            ("no", "not valid yet", {"nbf": now + 6000}), ("no", "another audience", {"aud": "web"}),
            ("no", "no audience", {"aud": None}), ("no", 'no claim "email"', {"email": None}),
            ("no", "not verified", {"email_verified": False}),
            ("unknown", "issuer is", {"iss": "https://other.kr"}),
            ("unknown", "no issuer", {"iss": None})]:
        answer = check(issuer.token(**claims))
        assert answer.verdict == verdict and reason in answer.reason, (claims, answer)
    check = ask(account_claim="upn")
    assert check(issuer.token(upn="lee@example.kr")).account == "lee@example.kr"
    assert check(issuer.token()).verdict == "no"


def test_what_is_no_token(ask, issuer):
    check = ask()
    claims = issuer.claims()
    for verdict, reason, token in [
            ("no", '"none" is not taken', issuers.forge({"alg": "none"}, claims)),
            ("no", '"HS256" is not taken',
             jwt.encode(claims, json.dumps(issuer.keys[0].jwk), algorithm="HS256")),
            ("no", "type", issuer.token(header={"typ": "logout+jwt"})),
            ("unknown", "not a signed JWT", "opaque"), ("unknown", "not a signed JWT", "a.b.c"),
            ("no", "malformed", "two words"), ("no", "malformed", "")]:
        answer = check(token)
        assert answer.verdict == verdict and reason in answer.reason, (token, answer)
    token = issuer.token()
    middle = token.index(".") + 10
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1:]
    assert check(changed).verdict != "yes"


def test_a_new_key_is_fetched_once_a_minute(ask, issuer):
    check = ask()
    old = issuer.token()
    assert check(old).verdict == "yes"
    issuer.keys = [issuers.Key("two", "ES256")]
    assert check(issuer.token()).verdict == "yes", "rotated: the keys are fetched anew"
    assert issuer.requests("/jwks") == 2
    assert check(old).verdict == "unknown", "the old key is no more"
    for number in range(20):
        answer = check(issuer.token(key=issuers.Key(f"made up {number}", "EdDSA")))
        assert answer.verdict == "unknown" and "made up" in answer.reason, answer
    assert issuer.requests("/jwks") == 2, "whoever makes keys up has nothing fetched"
    assert check(issuer.token()).verdict == "yes"


def test_keys_from_a_file(ask, issuer, folder):
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [issuer.keys[0].jwk]}))
    check = ask(jwks=None, jwks_file=path)
    assert check(issuer.token()).verdict == "yes"
    assert check(issuer.token(key=issuers.Key("two"))).verdict == "unknown"
    assert issuer.asked == []


def test_keys_that_cannot_be_had(ask, issuer, folder):
    token = issuer.token()
    for jwks, reason in [("/empty", "no key"), ("/nothing", "404"), ("/away", "not followed"),
                         ("/long", "too long")]:
        answer = ask(jwks=jwks)(token)
        assert answer.verdict == "cannot" and reason in answer.reason, (jwks, answer)
    assert issuer.requests("/jwks") == 0, "no redirect is followed"
    answer = ask(ca_file=tls.Authority(folder / "other-ca").cert)(token)
    assert answer.verdict == "cannot" and "certificate" in answer.reason, answer
    answer = ask(ca_file=None)(token)  # those of the system
    assert answer.verdict == "cannot" and "certificate" in answer.reason, answer
    answer = ask(jwks="/slow", timeout=1500)(token)
    assert answer.verdict == "cannot" and "no answer in time" in answer.reason, answer
    assert answer.ms < 15000


def test_the_issuer_may_be_away_for_a_while(ask, issuer):
    check = ask()
    assert check(issuer.token()).verdict == "yes"
    issuer.stop()
    assert check(issuer.token()).verdict == "yes", "its keys are known"
    assert ask()(issuer.token()).verdict == "cannot"


def test_many_at_once_fetch_once(ask, issuer, folder, ca):
    with sources.Source(folder, "oauth", issuer=issuer.name, audience="pabal", ca_file=ca.cert,
                        jwks=issuer.url + "/jwks", timeout=20000, connections=4) as source:
        waiting = [source.ask("", issuer.token(f"{n}@example.kr"), "token") for n in range(20)]
        assert [answer().account for answer in waiting] == [f"{n}@example.kr" for n in range(20)]
    assert issuer.requests("/jwks") == 1


# ---- by introspection

def test_introspection(ask, issuer):
    issuer.opaque = {
        "good": {"active": True, **issuer.claims()},
        "named": {"active": True, **issuer.claims(email=None), "username": "lee@example.kr"},
        "nobody": {"active": True, **issuer.claims(email=None)},
        "ended": {"active": True, **issuer.claims(exp=1000)},
        "other": {"active": True, **issuer.claims(aud="web")},
        "far": {"active": True, **issuer.claims(iss="https://other.kr")},
        "off": {"active": False}, "vague": {"email": KIM}, "list": [True]}
    check = ask(jwks=None, introspection="/introspect")
    for token, verdict, told in [
            ("good", "yes", KIM), ("named", "no", "email"), ("nobody", "no", "email"),
            ("ended", "no", "expired"), ("other", "no", "another audience"),
            ("far", "unknown", "issuer is"), ("off", "unknown", "not active"),
            ("never-heard-of", "unknown", "not active"), ("vague", "cannot", "does not say"),
            ("list", "cannot", "does not say")]:
        answer = check(token)
        assert answer.verdict == verdict and told in (answer.account or answer.reason), answer


def test_introspection_by_user_name(ask, issuer):
    issuer.opaque = {
        "named": {"active": True, **issuer.claims(email=None), "username": "lee@example.kr"}}
    check = ask(jwks=None, introspection="/introspect", account_claim="username")
    assert check("named").account == "lee@example.kr"


def test_introspection_needs_our_secret(ask, issuer, folder):
    (folder / "wrong").write_text("wrong\n")
    issuer.opaque = {"good": {"active": True, **issuer.claims()}}
    check = ask(jwks=None, introspection="/introspect", password_file=folder / "wrong")
    answer = check("good")
    assert answer.verdict == "cannot" and "password-file (401)" in answer.reason, answer


def test_a_yes_of_introspection_is_remembered_until_it_ends(ask, issuer):
    now = int(time.time())
    issuer.opaque = {"good": {"active": True, **issuer.claims()},
                     "short": {"active": True, **issuer.claims(exp=now - 1)}}
    check = ask(jwks=None, introspection="/introspect", cache=3600000)
    assert [check("good").verdict for _ in range(3)] == ["yes"] * 3
    assert issuer.requests("/introspect") == 1
    assert [check("short").verdict for _ in range(3)] == ["yes"] * 3
    assert issuer.requests("/introspect") == 4, "its time is over: it is asked for each time"
    assert [check("none").verdict for _ in range(2)] == ["unknown"] * 2
    assert issuer.requests("/introspect") == 6, "a no is not remembered"
    forgetful = ask(jwks=None, introspection="/introspect", cache=0)
    assert [forgetful("good").verdict for _ in range(2)] == ["yes"] * 2
    assert issuer.requests("/introspect") == 8


def test_with_keys_and_introspection_each_takes_its_tokens(ask, issuer):
    issuer.opaque = {"good": {"active": True, **issuer.claims("lee@example.kr")}}
    check = ask(introspection="/introspect")
    assert check(issuer.token()).account == KIM
    assert issuer.requests("/introspect") == 0
    assert check("good").account == "lee@example.kr"


def test_a_restarted_endpoint_costs_no_login(ask, issuer):
    issuer.opaque = {"good": {"active": True, **issuer.claims()}}
    check = ask(jwks=None, introspection="/introspect", cache=0)
    assert check("good").verdict == "yes"
    issuer.stop()
    assert check("good").verdict == "cannot"
    issuer.start()
    assert check("good").verdict == "yes"


def test_http_on_loopback(folder):
    with issuers.Issuer() as plain:
        with sources.Source(folder, "oauth", issuer=plain.name, audience="pabal", timeout=20000,
                            jwks=plain.url + "/jwks") as source:
            assert source.ask("", plain.token(), "token")().verdict == "yes"
