"""The command line: help for everything, certificates, keys, signing and verifying."""

import json
import re

from harness import check, expect

COMMANDS = ["keys", "sign", "verify", "certs", "ingest", "catalog", "purge", "origin", "edge", "up"]


@check
def help_answers_for_every_subcommand(world):
    for command in COMMANDS:
        code, out, _ = world.needledrop(command, "--help")
        expect(code == 0 and b"Usage" in out, f"{command} --help says {out[:80]!r}")
    _, out, _ = world.needledrop("--help")
    missing = [c for c in COMMANDS if c not in out.decode()]
    expect(not missing, f"--help does not name {missing}")


@check
def an_unknown_flag_is_refused_with_a_hint(world):
    code, _, err = world.needledrop("up", "--musik", "/tmp", check_exit=False)
    expect(code == 2 and b"--music" in err, f"exit {code}: {err[:200]!r}")


@check
def certificates_are_made_once_and_kept(world):
    folder = world.scratch / "certs"
    world.needledrop("certs", "--dir", folder)
    first = (folder / "ca.pem").read_bytes()
    expect(first.startswith(b"-----BEGIN CERTIFICATE"), "ca.pem is no PEM certificate")
    world.needledrop("certs", "--dir", folder)
    expect((folder / "ca.pem").read_bytes() == first, "a second run replaced the authority")


@check
def a_url_signed_by_hand_verifies_until_its_key_retires(world):
    data = world.scratch / "hand"
    world.needledrop("keys", "make", "--data", data)
    path = "/tracks/AAAAAAAAAAAAAAAAAAAAAA/1/160.ogg"
    _, out, _ = world.needledrop("sign", path, "--data", data)
    url = out.decode().strip()
    expect(re.fullmatch(re.escape(path) + r"\?exp=\d+&kid=[A-Za-z0-9._-]+&sig=[A-Za-z0-9_-]{43}", url), f"signed: {url}")
    world.needledrop("verify", url, "--data", data)
    for wrong in [url[:-1], url.replace("160.ogg", "320.ogg"), url.replace("exp=", "exp=1"), url + "&exp=9999999999"]:
        code, _, _ = world.needledrop("verify", wrong, "--data", data, check_exit=False)
        expect(code != 0, f"verify takes {wrong}")
    world.needledrop("keys", "rotate", "--data", data)
    world.needledrop("verify", url, "--data", data)
    _, out, _ = world.needledrop("sign", path, "--data", data)
    expect(out.decode().split("kid=")[1].split("&")[0] != url.split("kid=")[1].split("&")[0], "the former key still signs")
    former = url.split("kid=")[1].split("&")[0]
    world.needledrop("keys", "retire", former, "--data", data)
    code, _, _ = world.needledrop("verify", url, "--data", data, check_exit=False)
    expect(code != 0, "a retired key still verifies")
    _, out, _ = world.needledrop("keys", "list", "--data", data)
    expect(former in out.decode(), "keys list does not name the retired key")


@check
def the_catalog_goes_out_and_comes_in_as_lines(world):
    data, other = world.scratch / "lines", world.scratch / "lines-again"
    [folder.mkdir(exist_ok=True) for folder in (data, other)]
    code, _, err = world.needledrop("catalog", "export", "--data", data, check_exit=False)
    expect(code == 2 and b"needledrop up" in err, f"without a catalog: {code} {err!r}")
    artist = {"change": "artist", "id": "0" * 21 + "1", "name": "Björk", "sort_name": "Björk"}
    lines = (json.dumps(artist) + "\n\n").encode()
    world.needledrop("catalog", "import", "-", "--data", data, said=lines)
    _, exported, _ = world.needledrop("catalog", "export", "--data", data)
    expect("Björk" in exported.decode(), f"{exported!r}")
    file = world.scratch / "lines.jsonl"
    file.write_bytes(exported)
    world.needledrop("catalog", "import", file, "--data", other)
    _, again, _ = world.needledrop("catalog", "export", "--data", other)
    expect(again == exported, "what was imported is exported otherwise")
    code, _, err = world.needledrop("catalog", "import", "-", "--data", data, said=lines + b'{"change":"artist"}\n', check_exit=False)
    expect(code == 2 and b"line 3" in err, f"a bad line: {code} {err!r}")
    code, _, err = world.needledrop("catalog", "import", world.scratch / "nowhere", "--data", data, check_exit=False)
    expect(code == 2 and b"nowhere" in err, f"no file: {code} {err!r}")
    return f"{len(exported.splitlines())} lines"
