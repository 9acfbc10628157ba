# SPDX-License-Identifier: ISC
"""Passwords in a real directory: OpenLDAP's slapd."""

import pytest

from pabal import databases, peers, sources, tls

pytestmark = pytest.mark.skipif(not peers.have_peers(), reason="no peers unpacked (./dev test)")

SUFFIX = "dc=example,dc=kr"
PEOPLE = f"ou=people,{SUFFIX}"


def person(dn_uid, uid, mail, *more):
    return "\n".join([f"dn: uid={dn_uid},{PEOPLE}", "objectClass: inetOrgPerson", f"uid: {uid}",
                      "cn: a person", "sn: person", f"mail: {mail}", *more]) + "\n\n"


LDIF = f"""dn: {SUFFIX}
objectClass: domain
dc: example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: cn=search,{SUFFIX}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: search
userPassword: look

""" + "".join([
    person("kim", "kim", "kim@example.kr", "userPassword: secret",
           "employeeNumber: kim@other.kr"),
    person("lee", "lee", "lee@example.kr", "userPassword: secret", "employeeType: disabled"),
    person("park", "park", "park@example.kr", "userPassword: secret"),
    person("none", "none", "none@example.kr"),
    person("a\\2cb", "a,b", "a,b@example.kr", "userPassword: secret"),
    person("a*b", "a*b", "a*b@example.kr", "userPassword: secret"),
    person("twin1", "twin1", "twin@example.kr", "userPassword: secret"),
    person("twin2", "twin2", "twin@example.kr", "userPassword: secret"),
]) + f"""dn: cn=senders,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: senders
member: uid=kim,{PEOPLE}
member: uid=park,{PEOPLE}

dn: cn=relayers,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: relayers
member: uid=kim,{PEOPLE}
"""

RULES = f"""access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=search,{SUFFIX} read by anonymous auth by self read by * none"""

FILTER = "(&(objectClass=inetOrgPerson)(mail=%u)(!(employeeType=disabled)))"

INJECTIONS = ["*)(uid=*", "*", "kim*", "kim@example.kr)(uid=*", "kim@example.kr)(|(uid=*",
              "*)(objectClass=*))(&(uid=*", "kim@example.kr\\", "\\2a", "kim,dc=x", "(", ")"]


class Directory:
    def __init__(self, folder):
        self.folder = folder
        self.authority = tls.Authority(folder / "ca")
        self.server = databases.Slapd(folder, SUFFIX, LDIF, RULES,
                                      self.authority.issue("ldap.example.kr",
                                                           addresses=["127.0.0.1"]))
        (folder / "password").write_text("look\n")

    def searching(self, environment=None, **more):
        settings = {"uris": self.server.uri, "login": f"cn=search,{SUFFIX}",
                    "password-file": self.folder / "password", "base": SUFFIX, "filter": FILTER,
                    "timeout": 20000, "default-domain": "example.kr"}
        settings.update({key.replace("_", "-"): value for key, value in more.items()})
        return sources.Source(self.folder, "ldap", environment, **settings)

    def binding(self, bind_dn=f"uid=%n,{PEOPLE}", **more):
        return sources.Source(self.folder, "ldap", **{
            "uris": self.server.uri, "bind-dn": bind_dn, "timeout": 20000,
            "default-domain": "example.kr", **more})


@pytest.fixture(scope="module")
def directory():
    with databases.folder_for("ldap") as folder:
        made = Directory(folder)
        with made.server:
            yield made


def test_search_and_bind(directory):
    with directory.searching() as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        answer = source.check("kim@example.kr", "wrong")
        assert answer.verdict == "no" and "wrong password" in answer.reason
        assert source.check("nobody@example.kr", "secret").verdict == "unknown"
        assert source.check("lee@example.kr", "secret").verdict == "unknown"
        assert source.check("none@example.kr", "secret").verdict == "no"
        assert source.check("a,b@example.kr", "secret").verdict == "yes"
        assert source.check("a*b@example.kr", "secret").verdict == "yes"
        answer = source.check("twin@example.kr", "secret")
        assert answer.verdict == "cannot" and "more than one" in answer.reason
        # The connection that a right password was tried on gives nobody else a way in.
        assert source.check("park@example.kr", "wrong").verdict == "no"


def test_empty_password_is_no_password(directory):
    """A directory lets a bind without a password succeed: it is nobody's."""
    for source in (directory.searching(), directory.binding()):
        with source:
            assert source.check("kim@example.kr", "").verdict == "no"


def test_injection(directory):
    with directory.searching() as source:
        for name in INJECTIONS:
            answer = source.check(name, "secret")
            assert answer.verdict == "unknown", (name, answer)
    with directory.binding() as source:
        for name in INJECTIONS:
            # What is behind the "@" is no part of this DN: no other domain's name is taken.
            assert source.check(name, "secret").verdict in ("no", "unknown"), name


def test_a_template_without_the_domain_is_for_one_domain(directory):
    """Or kim of one domain would be kim of every other one, too."""
    for source in (directory.binding(), directory.searching(filter="(uid=%n)")):
        with source:
            for name, verdict in [("kim", "yes"), ("kim@example.kr", "yes"),
                                  ("kim@EXAMPLE.kr", "yes"), ("kim@other.kr", "unknown")]:
                assert source.check(name, "secret").verdict == verdict, name
    with directory.searching(filter="(uid=%n)", account_attribute="mail") as source:
        answer = source.check("kim@other.kr", "secret")
        assert (answer.verdict, answer.account) == ("yes", "kim@example.kr")


def test_bind_at_once(directory):
    with directory.binding() as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        assert source.check("kim@example.kr", "wrong").verdict == "no"
        assert source.check("nobody@example.kr", "secret").verdict in ("no", "unknown")
        assert source.check("a,b@example.kr", "secret").verdict == "yes"
        assert source.check(f"kim,{PEOPLE}", "secret").verdict in ("no", "unknown")


def test_scope(directory):
    with directory.searching(base=PEOPLE, scope="one") as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
    with directory.searching(scope="one") as source:
        assert source.check("kim@example.kr", "secret").verdict == "unknown"


def test_account_attribute(directory):
    with directory.searching(account_attribute="employeeNumber") as source:
        answer = source.check("kim@example.kr", "secret")
        assert (answer.verdict, answer.account) == ("yes", "kim@other.kr")
        answer = source.check("park@example.kr", "secret")
        assert answer.verdict == "no" and "employeeNumber" in answer.reason


def test_groups_are_rights(directory):
    groups = {"group_base": f"ou=groups,{SUFFIX}", "group_filter": "(member=%D)"}
    with directory.searching(submit_group="senders", relay_group="relayers", **groups) as source:
        assert source.check("kim@example.kr", "secret").rights == {"submit", "relay"}
        assert source.check("park@example.kr", "secret").rights == {"submit"}
        assert source.check("a*b@example.kr", "secret").rights == set()
        assert source.check("kim@example.kr", "wrong").verdict == "no"
    with directory.searching(relay_group=f"cn=Relayers,ou=groups,{SUFFIX}", **groups) as source:
        assert source.check("park@example.kr", "secret").rights == {"submit"}
        assert source.check("kim@example.kr", "secret").rights == {"submit", "relay"}


def test_tls(directory):
    port, secure = directory.server.port, directory.server.ldaps_port
    trusted = {"ca_file": directory.authority.cert}
    for more in ({"uris": f"ldap://127.0.0.1:{port}", "tls": "yes"},
                 {"uris": f"ldaps://127.0.0.1:{secure}"}):
        with directory.searching(**more, **trusted) as source:
            answer = source.check("kim@example.kr", "secret")
            assert answer.verdict == "yes", answer
            assert source.check("kim@example.kr", "wrong").verdict == "no"
    other = tls.Authority(directory.folder / "other-ca")
    for more in ({"uris": f"ldap://127.0.0.2:{port}", "tls": "yes", **trusted},
                 {"uris": f"ldaps://127.0.0.2:{secure}", **trusted},
                 {"uris": f"ldap://127.0.0.1:{port}", "tls": "yes", "ca_file": other.cert},
                 {"uris": f"ldaps://127.0.0.1:{secure}", "ca_file": other.cert}):
        with directory.searching(**more) as source:
            answer = source.check("kim@example.kr", "secret")
            assert answer.verdict == "cannot" and answer.reason, (more, answer)


def test_files_and_environment_of_the_user_are_not_read(directory, tmp_path):
    for name in (".ldaprc", "ldaprc"):
        (tmp_path / name).write_text("URI ldap://192.0.2.1\nTLS_REQCERT never\nSIZELIMIT 1\n")
    other = tls.Authority(directory.folder / "third-ca")
    environment = {"HOME": str(tmp_path), "LDAPTLS_REQCERT": "never", "LDAPRC": "ldaprc",
                   "LDAPURI": "ldap://192.0.2.1"}
    with directory.searching(environment, uris=f"ldaps://127.0.0.1:{directory.server.ldaps_port}",
                             ca_file=other.cert) as source:
        assert source.check("kim@example.kr", "secret").verdict == "cannot"
    with directory.searching(environment) as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"


def test_wrong_login(directory):
    with directory.searching(login=f"cn=nobody,{SUFFIX}") as source:
        answer = source.check("kim@example.kr", "secret")
        assert answer.verdict == "cannot" and "credentials" in answer.reason, answer


def test_faults_of_the_configuration(directory):
    with directory.searching(filter="(uid=%x)") as source:
        assert "(uid=%x)" in source.failure
    with directory.searching(filter="(uid=%u") as source:
        assert source.check("kim", "secret").verdict == "cannot"
    with directory.searching(base="dc=nowhere") as source:
        assert source.check("kim@example.kr", "secret").verdict == "cannot"


def test_the_next_server_is_asked(directory):
    dead = f"ldap://127.0.0.1:{databases.wait.free_port()}"
    with directory.searching(uris=[dead, directory.server.uri]) as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        assert source.check("kim@example.kr", "wrong").verdict == "no"


def test_many_at_once_share_the_connections(directory):
    with directory.searching(connections=3) as source:
        waiting = [source.ask("kim@example.kr", "secret" if i % 2 else "wrong") for i in range(40)]
        assert [answer().verdict for answer in waiting] == ["no", "yes"] * 20


def test_restarted_server_costs_no_login(directory):
    with directory.searching(connections=4) as source:
        for answer in [source.ask("kim@example.kr", "secret") for _ in range(8)]:
            assert answer().verdict == "yes"
        directory.server.restart()
        for answer in [source.ask("kim@example.kr", "secret") for _ in range(8)]:
            assert answer().verdict == "yes"


def test_dead_server_cannot_answer_and_comes_back(directory):
    with directory.searching() as source, directory.binding() as binding:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        assert binding.check("kim@example.kr", "secret").verdict == "yes"
        directory.server.stop()
        try:
            for one in (source, binding):
                answer = one.check("kim@example.kr", "wrong")
                assert answer.verdict == "cannot" and answer.reason, answer
        finally:
            directory.server.start()
        for one in (source, binding):
            assert one.check("kim@example.kr", "secret").verdict == "yes"
            assert one.check("kim@example.kr", "wrong").verdict == "no"


def test_hanging_server_ends_in_time(directory):
    with directory.searching(timeout=2000, connections=2) as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
        directory.server.pause()
        try:
            waiting = [source.ask("kim@example.kr", "secret") for _ in range(4)]
            answers = [answer() for answer in waiting]
        finally:
            directory.server.resume()
        assert {a.verdict for a in answers} == {"cannot"}, answers
        assert max(a.ms for a in answers) < 10000, answers
    with directory.searching() as source:
        assert source.check("kim@example.kr", "secret").verdict == "yes"
