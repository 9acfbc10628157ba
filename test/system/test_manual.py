# SPDX-License-Identifier: ISC
"""The examples of the manual are configurations that `pabal check` takes: fenced
blocks marked `pabal`, and indented ones that begin with a block of ours."""

import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from pabal import peers, server

MANUAL = peers.TREE / "doc" / "manual"
BLOCKS = "auth deliver destination domains guard limit limits log queue resolver route server source tls".split()
BEGIN = re.compile(rf'^({"|".join(BLOCKS)})( "[^"\n]*")? +{{')
HEAD = {"hostname": 'hostname "mail.example.kr"', "domains": 'domains { "example.kr" }',
        "postmaster": 'postmaster "kim@elsewhere.example"'}
KEYS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1", ' \
       '"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


def indented(text):
    """Indented blocks outside of fences; they end at a blank line outside of braces."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    block = ""
    for line in [*text.splitlines(), "end"]:
        is_open = block.count("{") > block.count("}")
        if line.startswith("    ") or (not line and is_open):
            block += line + "\n"
        elif block:
            yield textwrap.dedent(block)
            block = ""


def examples():
    for path in sorted(MANUAL.glob("*.md")):
        text = path.read_text()
        fenced = re.findall(r"^```pabal\n(.*?)^```$", text, re.M | re.S)
        blocks = fenced + [block for block in indented(text) if BEGIN.match(block)]
        for number, block in enumerate(blocks, 1):
            yield pytest.param(block, id=f"{path.stem}-{number}")


def complete(block):
    """The rest of a configuration around a part of one."""
    if block.startswith("source "):
        block = f"auth {{\n{block}}}\n"
    head = [line for word, line in HEAD.items() if not re.search(rf"^{word}\b", block, re.M)]
    return "\n".join([*head, block])


@pytest.fixture
def machine(folder, certificate):
    """Files of an example that the server reads at its start, below a folder of
    ours; what is only asked for at a login (sockets, databases) may be missing."""
    def content(setting):
        return {"certificate": certificate.pem.read_text(), "ca-file": certificate.pem.read_text(),
                "client-certificate": certificate.pem.read_text(), "key": certificate.pem.read_text(),
                "client-key": certificate.pem.read_text(), "jwks-file": KEYS,
                "keytab": "\x05\x02", "password-file": "secret\n", "rules": "1.2.3.4:deny\n",
                "from": "example.kr\n", "aliases": "root: kim\n"}[setting]

    def put(text):
        def place(match):
            setting, path = match.groups()
            local = Path(f"{folder}{path}")
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_text(content(setting))
            local.chmod(0o600)
            return f'{setting} "{local}"'

        text = re.sub(r'(?<![\w-])(certificate|key|ca-file|client-certificate|client-key|jwks-file|'
                      r'keytab|password-file|rules|from|aliases) "(/[^"]+)"', place, text)
        return f'state-folder "{folder}/state"\nrun-folder "{folder}/run"\n{text}'

    return put


@pytest.mark.parametrize("block", examples())
def test_example(block, machine, folder):
    conf = folder / "pabal.conf"
    conf.write_text(machine(complete(block)))
    conf.chmod(0o600)
    done = subprocess.run([server.BINARY, "check", "-c", conf], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, f"{done.stderr}\n{conf.read_text()}"


def test_links_lead_somewhere():
    """Links between chapters, and to headings within one."""
    for path in [*MANUAL.glob("*.md"), peers.TREE / "README.md"]:
        text = path.read_text()
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
            other = path.parent / target if target else path
            assert other.exists(), f"{path.name}: {target}"
            headings = re.findall(r"^#+ (.*)", other.read_text(), re.M) if anchor else []
            names = [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings]
            assert not anchor or anchor in names, f"{path.name}: #{anchor}"


def test_there_are_examples():
    assert sum(1 for _ in examples()) >= 15


def test_the_table_of_limits_is_that_of_the_program():
    table = subprocess.run([server.BINARY, "manual", "limits"], capture_output=True, text=True,
                           check=True).stdout
    assert f"limits` -->\n{table}<!-- end -->" in (MANUAL / "limits.md").read_text()
