"""Who may ask for what, and that nothing hostile in names gets anywhere.

The lists of calls are read from the routers themselves, so that a new call is asked without and with the wrong credential
too, without anybody thinking of it.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree

from check_player import administrator, music, of_subsonic
from harness import Up, check, cover, environment, expect, get, run

GATEWAY = pathlib.Path(__file__).resolve().parents[2] / "gateway/src"
SCRIPT = pathlib.Path(__file__).parent / "security.mjs"

METHODS = ("get", "put", "post", "delete", "patch")
# Calls below /v1 that anybody may make, and why.
OPEN = {
    ("POST", "/v1/session"): "it is how one comes to a credential",
    ("POST", "/v1/accounts"): "it is how one comes to an account, where one may",
    ("GET", "/v1/session/hint"): "the door says whether there is a demo account",
    ("GET", "/v1/openapi.json"): "what calls there are is no secret",
}
# The same below /rest.
OPEN_REST = {"getOpenSubsonicExtensions": "clients ask what there is before they sign in"}
# A hundred years, in seconds.
CENTURY_S = 3_153_600_000
# What another process has imported is seen by a running one within this.
SEEN_WITHIN_S = 5
# A search takes no more characters.
SEARCH_CHARS = 1_000


class Guarded(Up):
    """An `up` of its own with two accounts: `demo`, and `admin` on the free plan."""

    def __init__(self, world):
        super().__init__(world, world.scratch / "guarded", ["--music", music(world)])
        self.wait_ingested(9)
        self.admin = administrator(self)
        self.write("UPDATE accounts SET plan = 'free' WHERE name = 'admin'")
        # Who was known before goes by what was true then, for a moment; who signs in now does not.
        self.admin = self.sign_in("admin", "a better one than that")

    def sign_in(self, user, password):
        return self.call("POST", "/v1/session", {"user": user, "password": password, "bearer": True}, token=None)["token"]

    def write(self, statement, *values):
        with sqlite3.connect(self.data / "needledrop.db", timeout=20) as database:
            changed = database.execute(statement, values).rowcount
        database.close()
        return changed

    def read(self, statement, *values):
        with sqlite3.connect(self.data / "needledrop.db", timeout=20) as database:
            rows = database.execute(statement, values).fetchall()
        database.close()
        return rows

    def id_of(self, token):
        """The id of a credential, which storage knows by its digest."""
        rows = self.read("SELECT id FROM account_tokens WHERE digest = ?", hashlib.sha256(token.encode()).digest())
        expect(rows, "the digest of a credential is not SHA-256 any more: find its id in another way")
        return rows[0][0]

    def change(self, *changes):
        """Changes to the catalog, from outside."""
        lines = "".join(json.dumps(change) + "\n" for change in changes)
        run([self.world.binary, "catalog", "import", "-", "--data", self.data], said=lines.encode())


def guarded(world):
    found = getattr(world, "_guarded", None)
    if found is None or found.server.process.poll() is not None:
        found = world._guarded = Guarded(world)
    return found


def calls_of_v1(up):
    """(method, path) of every call, with an id of the usual form where it takes one: from the document, which is written
    from the table that the router goes by. The doors of OAuth have proofs of their own, see check_clients.py."""
    document = up.call("GET", "/v1/openapi.json", token=None)
    found = [(method.upper(), path) for path, calls in document["paths"].items() for method in calls
             if method in METHODS and path.startswith("/v1/")]
    return sorted((method, re.sub(r"\{\w+\}", "A" * 22, path)) for method, path in found)


def calls_of_rest():
    text = (GATEWAY / "subsonic/mod.rs").read_text().split("#[cfg(test)]")[0]
    names = re.findall(r'^\s+((?:"\w+"(?: \| )?)+) =>', text, re.MULTILINE)
    return sorted({name for line in names for name in re.findall(r'"(\w+)"', line)} | set(OPEN_REST))


def raw_status(up, method, path, field):
    """Status of a request with one field as it stands, which may be anything."""
    body = b"{}" if method not in ("GET", "HEAD") else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n".encode()
    with socket.create_connection(("127.0.0.1", up.port), timeout=20) as connection:
        connection.sendall(head + field + b"\r\n\r\n" + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return int(answer.split(b" ", 2)[1]), answer


@check
def every_call_of_v1_is_refused_without_a_good_credential(world):
    up = guarded(world)
    calls = calls_of_v1(up)
    expect(len(calls) >= 30, f"only {len(calls)} calls are in the document")
    # One that expires before it is ever used, and one that is revoked.
    expired = up.sign_in("admin", "a better one than that")
    expect(up.write("UPDATE account_tokens SET expires = 1 WHERE id = ?", up.id_of(expired)) == 1, "no such token")
    revoked = up.sign_in("demo", "demo")
    up.call("DELETE", "/v1/session", token=revoked)
    good = up.token
    flipped = good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:]
    wrong = {
        "none": b"X-Nothing: 1",
        "empty": b"Authorization: Bearer ",
        "no scheme": b"Authorization: " + good.encode(),
        "another scheme": b"Authorization: Basic ZGVtbzpkZW1v",
        "nonsense": b"Authorization: Bearer nonsense",
        "not ASCII": b"Authorization: Bearer \xff\xfe\xc3\x28",
        "SQL": b"Authorization: Bearer ' OR 1=1 --",
        "long": b"Authorization: Bearer " + b"a" * 6_000,
        "one letter wrong": b"Authorization: Bearer " + flipped.encode(),
        "cut short": b"Authorization: Bearer " + good[:-1].encode(),
        "one more letter": b"Authorization: Bearer " + good.encode() + b"A",
        "expired": b"Authorization: Bearer " + expired.encode(),
        "revoked": b"Authorization: Bearer " + revoked.encode(),
        "a wrong cookie": b"Cookie: needledrop_session=" + flipped.encode(),
        "an expired cookie": b"Cookie: needledrop_session=" + expired.encode() + b"\r\nX-Requested-With: x",
    }
    refused = 0
    for method, path in calls:
        if (method, path) in OPEN:
            continue
        for name, field in wrong.items():
            status, answer = raw_status(up, method, path, field)
            is_cookie = "cookie" in name and method not in ("GET", "HEAD")
            expect(status == 401 or (is_cookie and status == 403), f"{method} {path} answers {status} with {name}")
            expect(b"urn:needledrop:problem:" in answer, f"{method} {path}: no problem in {answer[-300:]!r}")
            refused += 1
        # And a change with a good cookie, but made by a page of another origin.
        if method not in ("GET", "HEAD"):
            status, answer = raw_status(up, method, path, b"Cookie: needledrop_session=" + good.encode())
            expect(status == 403 and b"cross-site" in answer, f"{method} {path} takes a stranger's page: {status}")
    status, _ = up.ask("GET", "/v1/me")
    expect(status == 200, f"the good one: {status}")
    return f"{len(calls)} calls, {refused} refusals"


# A pair as RFC 7636 (appendix B) has it.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = "https://app.example/cb"


class Program:
    """A program of somebody's, as a server that follows no link and keeps no cookie."""

    def __init__(self, up, name, confidential=False, redirects=(CALLBACK,)):
        self.up = up
        said = {"name": name, "redirect_uris": list(redirects), "confidential": confidential}
        made = up.call("POST", "/v1/me/apps", said, token=up.admin)
        self.id, self.secret = made["client_id"], made["client_secret"]

    def query(self, **other):
        said = {"client_id": self.id, "redirect_uri": CALLBACK, "response_type": "code", "state": "a&b", "scope": "streaming",
                "code_challenge": CHALLENGE, "code_challenge_method": "S256", **other}
        return urllib.parse.urlencode({name: value for name, value in said.items() if value is not None}, doseq=True)

    def code(self, token=None, **other):
        """A code that somebody gives it: the administrator, unless another's token is named."""
        said = {"query": self.query(**other), "allow": True}
        place = self.up.call("POST", "/oauth/consent", said, token=token or self.up.admin)["redirect"]
        given = urllib.parse.parse_qs(urllib.parse.urlsplit(place).query)
        expect(place.startswith(f"{CALLBACK}?") and given["state"] == ["a&b"] and given["iss"] == [self.up.base], place)
        return given["code"][0]

    def post(self, path, fields=(), kind="application/x-www-form-urlencoded", **form):
        """Status, fields and JSON of what a door says to a form. A list is a parameter that comes more than once."""
        form = {"client_id": self.id, **({"client_secret": self.secret} if self.secret else {}), **form}
        text = urllib.parse.urlencode({name: value for name, value in form.items() if value is not None}, doseq=True)
        said = [part for field in [f"Content-Type: {kind}", *fields] for part in ("-H", field)]
        _, out, _ = run(["curl", "-s", "-i", "-X", "POST", *said, "-d", text, f"{self.up.base}{path}"])
        head, body = out.decode().split("\r\n\r\n", 1)
        return int(head.split()[1]), head.lower(), json.loads(body)

    def exchange(self, code, /, **other):
        said = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.post("/oauth/token", **{**said, **other})

    def given(self, **other):
        """Tokens for a new code."""
        status, head, said = self.exchange(self.code(**other))
        expect(status == 200 and said["token_type"] == "Bearer" and said["expires_in"] > 0, f"an exchange: {status} {said}")
        expect("cache-control: no-store" in head and "pragma: no-cache" in head, head)
        return said


def who(up, secret):
    return up.ask("GET", "/v1/me", token=secret)[0]


@check
def nobody_is_sent_where_a_program_did_not_register(world):
    up = guarded(world)
    app = Program(up, "An app", redirects=[CALLBACK, "http://127.0.0.1/cb", "com.example.app:/cb"])

    def leads(query):
        _, out, _ = run(["curl", "-s", "-D", "-", "-o", "/dev/null", f"{up.base}/oauth/authorize?{query}"])
        fields = dict(line.lower().split(": ", 1) for line in out.decode().splitlines() if ": " in line)
        return int(out.split()[1]), fields.get("location", ""), fields

    near = ["https://app.example/cb/", "https://app.example/CB", "https://app.example/cb?x=1", "https://app.example/cb/../cb", "https://app.example/",
            "http://app.example/cb", "https://app.example:443/cb", "https://app.example.evil.example/cb", "https://evil.example/cb",
            "https://app.example@evil.example/cb", "https://evil.example\\@app.example/cb", "//app.example/cb", "/cb", "", "javascript:alert(1)",
            "https://app.example/cb#", "https://app.example/c%62", "http://127.0.0.1.evil.example/cb", "http://127.0.0.2/cb", "http://127.0.0.1:80x/cb",
            "com.example.app:/cb2", "data:text/html,x", "https://app.example/cb\r\nX-Injected: yes", None]
    for uri in near:
        status, place, _ = leads(app.query(redirect_uri=uri))
        expect((status, place) == (400, ""), f"{uri} is answered {status} {place}")
    for twice in ("redirect_uri", "client_id", "scope", "state", "code_challenge"):
        status, place, _ = leads(app.query() + f"&{twice}=x")
        expect((status, place) == (400, ""), f"{twice} twice is answered {status} {place}")
    status, place, _ = leads(app.query(client_id="0" * 22))
    expect((status, place) == (400, ""), f"a program that is none: {status} {place}")
    # Whom we know, we tell.
    wrong = {"unsupported_response_type": {"response_type": "token"}, "invalid_scope": {"scope": "account admin"},
             "invalid_request": {"code_challenge": None, "code_challenge_method": None}}
    for error, other in [*wrong.items(), ("invalid_request", {"code_challenge_method": "plain"}), ("invalid_request", {"code_challenge_method": None}),
                         ("invalid_request", {"code_challenge": "short"}), ("unsupported_response_type", {"response_type": None})]:
        status, place, fields = leads(app.query(**other))
        expect(status == 302 and place.startswith(f"{CALLBACK}?error={error}&state=a%26b&iss="), f"{other} is answered {status} {place}")
        expect(fields["cache-control"] == "no-store", f"{fields}")
    for uri in (CALLBACK, "http://127.0.0.1:4711/cb", "com.example.app:/cb"):
        status, place, fields = leads(app.query(redirect_uri=uri))
        expect((status, place) == (200, ""), f"{uri}: {status} {place}")
        policy = fields["content-security-policy"]
        expect("frame-ancestors 'none'" in policy and "script-src 'self'" in policy and fields["cache-control"] == "no-store", f"{fields}")
    return f"{len(near)} addresses that are nearly right"


@check
def only_our_own_page_agrees_and_only_for_a_person(world):
    up = guarded(world)
    app = Program(up, "An eager app")
    session = up.sign_in("admin", "a better one than that")
    body = json.dumps({"query": app.query(), "allow": True})
    cookie = f"Cookie: needledrop_session={session}"

    def tries(*fields, kind="application/json", method="POST"):
        said = [part for field in [cookie, f"Content-Type: {kind}", *fields] for part in ("-H", field)]
        _, out, _ = run(["curl", "-s", "-w", "\n%{http_code}", "-X", method, *said, "-d", body, f"{up.base}/oauth/consent"])
        text, status = out.decode().rsplit("\n", 1)
        return int(status), text

    requested = "X-Requested-With: needledrop"
    elsewhere = [[], ["Origin: https://evil.example"], [requested, "Origin: https://evil.example"], [requested, "Origin: null"],
                 [requested, "Sec-Fetch-Site: cross-site"], [requested, "Sec-Fetch-Site: same-site"], [requested, f"Origin: http://localhost:{up.port + 1}"]]
    for fields in elsewhere:
        status, text = tries(*fields)
        expect(status == 403 and "cross-site" in text, f"{fields} agrees: {status} {text}")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        expect(tries(requested, kind=kind)[0] == 415, f"a body of {kind} agrees")
    expect(tries(requested, method="PUT")[0] == 405, "another method agrees")
    # Nobody says who may read the answer, or that the cookie may be sent along.
    _, out, _ = run(["curl", "-s", "-i", "-X", "OPTIONS", "-H", "Origin: https://evil.example", "-H", "Access-Control-Request-Method: POST", f"{up.base}/oauth/consent"])
    expect(b"access-control" not in out.lower(), f"{out}")
    key = up.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "a key"}, token=up.admin)["secret"]
    given = app.given()["access_token"]
    for name, token, wanted in [("nobody", None, 401), ("nonsense", "nonsense", 401), ("the demo account", up.token, 403), ("a key", key, 403), ("a program", given, 403)]:
        for method in ("POST", "GET"):
            status, text = up.ask(method, f"/oauth/consent?{app.query()}", json.loads(body) if method == "POST" else None, token=token)
            expect(status == wanted, f"{method} as {name}: {status} {text}")
    # A program that asks for everything is given what programs may have.
    everything = app.given(scope="streaming account admin")
    expect(everything["scope"] == "streaming", f"{everything['scope']}")
    status, text = tries(requested, "Sec-Fetch-Site: same-origin")
    expect(status == 200 and "code=" in text, f"our own page: {status} {text}")
    said = {"query": app.query(), "allow": False}
    place = up.call("POST", "/oauth/consent", said, token=up.admin)["redirect"]
    expect(place.startswith(f"{CALLBACK}?error=access_denied&state=a%26b&iss="), place)
    return f"{len(elsewhere) + 13} tries"


@check
def the_token_endpoint_refuses_in_the_words_of_rfc_6749(world):
    up = guarded(world)
    app, other, secret = Program(up, "An app"), Program(up, "Another app"), Program(up, "A server", confidential=True)
    refused = 0

    def is_refused(answer, status, error):
        nonlocal refused
        got, head, said = answer
        expect((got, said.get("error")) == (status, error), f"{got} {said}, and not {status} {error}")
        expect("cache-control: no-store" in head and "content-type: application/json" in head, head)
        expect("access_token" not in said and ("www-authenticate: basic" in head) == (status == 401), f"{head} {said}")
        refused += 1

    code = app.code()
    # None of these uses the code up.
    is_refused(app.exchange(code, kind="application/json"), 400, "invalid_request")
    is_refused(app.exchange(code, code=[code, code]), 400, "invalid_request")
    is_refused(app.exchange(None), 400, "invalid_request")
    is_refused(app.exchange(code, grant_type=None), 400, "invalid_request")
    is_refused(app.exchange(code, grant_type="password"), 400, "unsupported_grant_type")
    is_refused(app.exchange(code, client_id=None), 401, "invalid_client")
    is_refused(app.exchange(code, client_id="0" * 22), 401, "invalid_client")
    is_refused(app.exchange(code, client_id="' OR 1=1 --"), 401, "invalid_client")
    is_refused(app.exchange(code, client_secret="ndp_nonsense"), 401, "invalid_client")
    is_refused(app.exchange(code, fields=["Authorization: Bearer x"]), 401, "invalid_client")
    is_refused(app.exchange(code, code_verifier=None), 400, "invalid_grant")
    is_refused(app.exchange(code, code_verifier=CHALLENGE), 400, "invalid_grant")
    is_refused(app.exchange(code, code_verifier=VERIFIER[:-1]), 400, "invalid_grant")
    is_refused(app.exchange(code, redirect_uri=None), 400, "invalid_grant")
    is_refused(app.exchange(code, redirect_uri=f"{CALLBACK}/"), 400, "invalid_grant")
    is_refused(other.exchange(code), 400, "invalid_grant")
    is_refused(app.exchange("nonsense"), 400, "invalid_grant")
    is_refused(app.exchange(up.admin), 400, "invalid_grant")
    given = app.exchange(code)[2]
    expect(who(up, given["access_token"]) == 200, "a token that was just given")
    # A second time it was stolen from somebody: what came of it ends.
    is_refused(app.exchange(code), 400, "invalid_grant")
    expect(who(up, given["access_token"]) == 401, "the tokens of a code that came twice go on")
    late = app.code()
    expect(up.write("UPDATE oauth_codes SET expires = 1 WHERE family IS NULL") >= 1, "no such code")
    is_refused(app.exchange(late), 400, "invalid_grant")

    def refresh(of, token, **more):
        return of.post("/oauth/token", grant_type="refresh_token", refresh_token=token, **more)

    first = app.given()
    is_refused(refresh(other, first["refresh_token"]), 400, "invalid_grant")
    is_refused(refresh(app, first["access_token"]), 400, "invalid_grant")
    is_refused(refresh(app, None), 400, "invalid_request")
    expect(who(up, first["refresh_token"]) == 401, "a refresh token is a credential")
    status, _, second = refresh(app, first["refresh_token"])
    expect(status == 200 and second["scope"] == first["scope"] and who(up, second["access_token"]) == 200, f"a refresh: {status} {second}")
    is_refused(refresh(app, first["refresh_token"]), 400, "invalid_grant")
    expect(who(up, second["access_token"]) == 401, "what came of a stolen refresh token goes on")
    is_refused(refresh(app, second["refresh_token"]), 400, "invalid_grant")

    # With a secret: shown in one of two ways, and in one only.
    basic = base64.b64encode(f"{secret.id}:{secret.secret}".encode()).decode()
    wrong = base64.b64encode(f"{secret.id}:{app.id}".encode()).decode()
    own = {"grant_type": "client_credentials"}
    status, _, alone = secret.post("/oauth/token", **own)
    expect(status == 200 and "refresh_token" not in alone, f"client credentials: {status} {alone}")
    for path in ("/api/token", "/oauth/api/token", "/oauth/token"):
        status, _, said = secret.post(path, fields=[f"Authorization: Basic {basic}"], client_id=None, client_secret=None, **own)
        expect(status == 200, f"{path}: {status} {said}")
    is_refused(secret.post("/oauth/token", fields=[f"Authorization: Basic {basic}"], **own), 400, "invalid_request")
    is_refused(secret.post("/oauth/token", fields=[f"Authorization: Basic {basic}"], client_secret=None, **{**own, "client_id": app.id}), 400, "invalid_request")
    is_refused(secret.post("/oauth/token", fields=[f"Authorization: Basic {wrong}"], client_secret=None, **own), 401, "invalid_client")
    is_refused(secret.post("/oauth/token", client_secret=None, **own), 401, "invalid_client")
    is_refused(app.post("/oauth/token", **own), 400, "unauthorized_client")
    return f"{refused} refusals"


@check
def a_program_does_what_it_was_let_in_for_and_no_more(world):
    up = guarded(world)
    app, other, secret = Program(up, "An app"), Program(up, "Another app"), Program(up, "A server", confidential=True)
    track = up.tracks()["items"][0]["id"]
    alone = secret.post("/oauth/token", grant_type="client_credentials")[2]["access_token"]
    plays = app.given(scope="streaming")["access_token"]
    reads = app.given(scope="user-read-private user-read-email playlist-read-private")["access_token"]
    bare = app.given(scope=None)["access_token"]
    list_of = {"name": "By a program"}
    allowed = {
        ("GET", "/v1/tracks", None): {alone, plays, reads, bare},
        ("GET", "/v1/search?q=noon", None): {alone, plays, reads, bare},
        ("GET", f"/v1/tracks/{track}/stream", None): {plays},
        ("GET", "/v1/me", None): {plays, reads, bare},
        ("GET", "/v1/me/playlists", None): {reads},
        ("POST", "/v1/me/playlists", json.dumps(list_of)): set(),
        ("GET", "/v1/me/player", None): set(),
        ("PUT", "/v1/me/player/pause", None): set(),
        ("GET", "/v1/me/credentials", None): set(),
        ("GET", "/v1/me/apps", None): set(),
        ("POST", "/v1/me/apps", json.dumps({"name": "More", "redirect_uris": []})): set(),
        ("DELETE", f"/v1/me/apps/{app.id}", None): set(),
        ("PUT", "/v1/me/password", json.dumps({"old": "a better one than that", "new": "now it is mine"})): set(),
        ("GET", "/v1/ops", None): set(),
    }
    for (method, path, body), who_may in allowed.items():
        for name, token in (("alone", alone), ("plays", plays), ("reads", reads), ("bare", bare)):
            status, text = up.ask(method, path, json.loads(body) if body else None, token=token)
            may = token in who_may
            expect(status == 200 if may else status == 403, f"{method} {path} as one that {name}: {status} {text[:200]}")
    # Of the person it sees what the person was told.
    me = [json.loads(up.ask("GET", "/v1/me", token=token)[1]) for token in (reads, bare)]
    expect(me[0]["user"] == "admin" and me[0]["product"] == "free" and me[0]["is_admin"], f"{me[0]}")
    expect(not {"user", "product", "plan", "country", "is_admin", "must_change_password"} & set(me[1]) and me[1]["display_name"] == "admin", f"{me[1]}")
    # Time ends it, and so do the program, the person, and whoever registered it.
    late = app.given()["access_token"]
    up.write("UPDATE account_tokens SET expires = 1 WHERE id = ?", up.id_of(late))
    expect(who(up, late) == 401, "an expired token")
    given = app.given()
    for of, token in ((other, given["refresh_token"]), (app, "nonsense")):
        expect(of.post("/oauth/revoke", token=token)[0] == 200, "what is no token needs no end")
    expect(who(up, given["access_token"]) == 200, "another program ended it")
    expect(app.post("/oauth/revoke", token=given["refresh_token"])[0] == 200 and who(up, given["access_token"]) == 401, "the end of a refresh token")
    expect(app.post("/oauth/revoke", token=None)[2]["error"] == "invalid_request", "the end of nothing")
    given = app.given()
    up.call("DELETE", f"/v1/me/credentials/{up.id_of(given['access_token'])}", token=up.admin)
    status, _, said = app.post("/oauth/token", grant_type="refresh_token", refresh_token=given["refresh_token"])
    expect(who(up, given["access_token"]) == 401 and (status, said["error"]) == (400, "invalid_grant"), f"the person's end: {status} {said}")
    given = app.given()
    status, _ = up.ask("DELETE", f"/v1/me/apps/{app.id}")
    expect(status == 403, f"the demo account removes programs of others: {status}")
    up.call("DELETE", f"/v1/me/apps/{app.id}", token=up.admin)
    expect({who(up, given["access_token"]), who(up, plays)} == {401}, "a program that is gone goes on")
    expect(app.post("/oauth/revoke", token=given["access_token"])[0] == 401, "a program that is gone is known")
    return f"{4 * len(allowed)} calls"


def subsonic(up, call, more="", **parameters):
    """The element below /rest as JSON; None where it leads elsewhere."""
    query = urllib.parse.urlencode({"v": "1.16.1", "c": "check", "f": "json", **parameters})
    _, out, _ = run(["curl", "-s", "-w", "\n%{http_code} %{redirect_url}", f"{up.base}/rest/{call}?{query}{more}"])
    text, end = out.decode().rsplit("\n", 1)
    if end.startswith("302"):
        return {"status": "elsewhere", "to": end.split(" ", 1)[1]}
    expect(end.startswith("200"), f"/rest/{call} answers {end}")
    return json.loads(text)["subsonic-response"]


def app_password(up):
    """Of the administrator, for Subsonic."""
    said = up.call("POST", "/v1/me/credentials", {"kind": "app-password", "client": "security"}, token=up.admin)
    return said["secret"], said["id"]


def proof_of(secret, user="admin", salt="c19b2d"):
    return {"u": user, "t": hashlib.md5((secret + salt).encode()).hexdigest(), "s": salt}


@check
def every_call_of_subsonic_is_refused_without_a_good_credential(world):
    up = guarded(world)
    calls = calls_of_rest()
    expect(len(calls) >= 35, f"only {len(calls)} calls were found in the router: its form has changed, mend calls_of_rest")
    secret, _ = app_password(up)
    key = up.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "expires"}, token=up.admin)
    up.write("UPDATE account_tokens SET expires = 1 WHERE id = ?", key["id"])
    gone, gone_id = app_password(up)
    up.call("DELETE", f"/v1/me/credentials/{gone_id}", token=up.admin)
    wrong = {
        "none": ({}, {10}),
        "a name alone": ({"u": "admin"}, {10}),
        "the login password": ({"u": "admin", "p": "a better one than that"}, {40}),
        "the demo's login": ({"u": "demo", "p": "demo"}, {40}),
        "a wrong proof": ({**proof_of(secret), "s": "other1"}, {40}),
        "a malformed proof": ({**proof_of(secret), "t": "zz"}, {40}),
        "another's name": (proof_of(secret, user="demo"), {40}),
        "another's name in the clear": ({"u": "demo", "p": secret}, {40}),
        "SQL": ({"u": "admin' --", "p": "x' OR '1'='1"}, {40}),
        "a session as key": ({"apiKey": up.admin}, {44}),
        "nonsense as key": ({"apiKey": "nonsense"}, {44}),
        "an expired key": ({"apiKey": key["secret"]}, {44}),
        "a revoked password": (proof_of(gone), {40}),
        "two ways at once": ({**proof_of(secret), "apiKey": key["secret"]}, {43}),
    }
    refused = 0
    for call in calls:
        if call in OPEN_REST:
            expect(subsonic(up, call)["status"] == "ok", f"{call} is not open any more: take it out of OPEN_REST")
            continue
        for name, (parameters, codes) in wrong.items():
            said = subsonic(up, call, **parameters)
            expect(said["status"] == "failed", f"{call} with {name}: {str(said)[:200]}")
            expect(said["error"]["code"] in codes, f"{call} with {name}: {said['error']}")
            expect(set(said) <= {"status", "version", "type", "serverVersion", "openSubsonic", "error"}, f"{call} tells {set(said)}")
            refused += 1
    expect(subsonic(up, "ping", **proof_of(secret))["status"] == "ok", "the good one")
    return f"{len(calls)} calls, {refused} refusals"


@check
def nobody_reaches_what_is_another_s(world):
    up = guarded(world)
    items = [track["id"] for track in up.tracks()["items"]]
    made = up.call("POST", "/v1/me/playlists", {"name": "Mine alone"}, token=up.admin)
    path = f"/v1/playlists/{made['id']}"
    up.call("POST", f"{path}/items", {"uris": [f"needledrop:track:{items[0]}"]}, token=up.admin)
    before = up.call("GET", path, token=up.admin)
    uris = {"uris": [f"needledrop:track:{items[1]}"]}
    removed = {"items": [{"uri": f"needledrop:track:{items[0]}"}]}
    tries = [("GET", path, None), ("PUT", path, {"name": "Taken"}), ("POST", f"{path}/items", uris), ("DELETE", f"{path}/items", removed),
             ("POST", f"{path}/tracks", uris), ("DELETE", f"{path}/tracks", removed), ("DELETE", f"{path}/followers", None)]
    for method, where, body in tries:
        status, text = up.ask(method, where, body)
        expect(status in (403, 404), f"{method} {where} as another: {status} {text[:200]}")
    expect(up.call("GET", path, token=up.admin) == before, "the playlist has changed")
    expect(made["id"] not in json.dumps(up.call("GET", "/v1/me/playlists")), "it is listed for another")

    now = int(time.time() * 1000)
    up.call("PUT", "/v1/me/queue", {"items": items[:3], "index": 1, "position_ms": 5, "changed": now}, token=up.admin)
    up.call("PUT", "/v1/me/queue", {"items": items[3:5], "index": 0, "position_ms": 7, "changed": now + 1})
    expect(up.call("GET", "/v1/me/queue", token=up.admin)["items"] == items[:3], "another's queue took the place of mine")
    expect(up.call("GET", "/v1/me/queue")["items"] == items[3:5], "the queue of another is shown")

    # Plays: what was granted to another, for another track or to nobody counts nothing; what was granted counts once.
    heard = lambda play, track: {"playback_id": play, "track": track, "intervals": [[0, 120_000]], "ended": False}
    mine, opener = up.stream(items[5])["playback_id"], up.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "counts"}, token=up.admin)["secret"]
    count = lambda: of_subsonic(up, "getSong", id=items[5], apiKey=opener)["song"].get("playCount", 0)
    plays = count()
    for token, body in ((up.admin, heard(mine, items[5])), (up.token, heard(mine, items[6])), (up.token, heard(mine[::-1], items[5])), (up.token, heard("a" * 22, items[5]))):
        status, text = up.ask("POST", "/v1/plays", body, token=token)
        expect(status == 422 and "no-such-play" in text, f"a play that nobody was granted: {status} {text[:200]}")
    expect(count() == plays, "a play that nobody was granted counts")
    for _ in range(2):
        up.call("POST", "/v1/plays", heard(mine, items[5]))
    expect(count() == plays + 1, f"a play counts {count() - plays} times")

    # Credentials: the demo account manages none, an app password and a key manage none, and nobody revokes another's.
    key = up.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "a key"}, token=up.admin)
    victim = up.sign_in("demo", "demo")
    for token in (up.token, key["secret"]):
        for method, where, body in [("GET", "/v1/me/credentials", None), ("POST", "/v1/me/credentials", {"kind": "api-key", "client": "more"}),
                                    ("DELETE", f"/v1/me/credentials/{up.id_of(up.admin)}", None), ("PUT", "/v1/me/password", {"old": "a better one than that", "new": "now it is mine"})]:
            status, text = up.ask(method, where, body, token=token)
            expect(status in (401, 403), f"{method} {where} with a player's credential: {status} {text[:200]}")
    status, _ = up.ask("DELETE", f"/v1/me/credentials/{up.id_of(victim)}", token=up.admin)
    expect(status == 404, f"revoking another's session: {status}")
    expect(up.ask("GET", "/v1/me", token=victim)[0] == 200, "another's session was ended")
    listed = {item["id"] for item in up.call("GET", "/v1/me/credentials", token=up.admin)["items"]}
    expect(up.id_of(victim) not in listed, "another's session is listed")
    up.call("DELETE", "/v1/session", token=victim)
    expect(up.ask("GET", "/v1/me")[0] == 200, "the end of one session ended the others")

    # Invitations: an administrator's session makes and sees them, nobody else and no program, not even of his.
    invitation = up.call("POST", "/v1/invitations", {"plan": "premium"}, token=up.admin)
    for token in (up.token, key["secret"]):
        for method, where, body in [("GET", "/v1/invitations", None), ("POST", "/v1/invitations", {"plan": "premium"}), ("DELETE", f"/v1/invitations/{invitation['id']}", None),
                                    ("DELETE", "/v1/me", {"password": "a better one than that"})]:
            status, text = up.ask(method, where, body, token=token)
            expect(status == 403 and invitation["token"] not in text, f"{method} {where} with a player's credential: {status} {text[:200]}")
    expect(up.ask("GET", "/v1/me", token=invitation["token"])[0] == 401, "an invitation is a credential")
    status, _ = up.ask("DELETE", f"/v1/invitations/{up.id_of(up.admin)}", token=up.admin)
    expect(status == 404, f"taking back a session as if it were an invitation: {status}")
    up.call("DELETE", f"/v1/invitations/{invitation['id']}", token=up.admin)

    # Devices: each sees only those of the account itself.
    up.call("GET", f"/v1/tracks/{items[0]}/stream", token=up.admin)
    names = json.dumps(up.call("GET", "/v1/me/player/devices")["devices"])
    expect("a key" not in names and "security" not in names, f"another's devices: {names}")

    # The same through Subsonic: the demo account has no app password, so the owner's key tries on the demo's list.
    theirs = up.call("POST", "/v1/me/playlists", {"name": "The demo's"})
    for call, parameters in [("getPlaylist", {"id": f"pl-{theirs['id']}"}), ("deletePlaylist", {"id": f"pl-{theirs['id']}"}),
                             ("updatePlaylist", {"playlistId": f"pl-{theirs['id']}", "name": "Taken"}), ("createPlaylist", {"playlistId": f"pl-{theirs['id']}", "songId": f"tr-{items[0]}"})]:
        said = subsonic(up, call, apiKey=key["secret"], **parameters)
        expect(said["status"] == "failed" and said["error"]["code"] in (50, 70), f"{call} on another's playlist: {said}")
    expect(up.call("GET", f"/v1/playlists/{theirs['id']}")["name"] == "The demo's", "it was renamed")
    expect(theirs["id"] not in json.dumps(subsonic(up, "getPlaylists", apiKey=key["secret"])), "it is listed for another")
    return f"{len(tries) + 12} tries"


@check
def playlists_are_found_by_those_who_may_see_them(world):
    up = guarded(world)
    secret, _ = app_password(up)

    def found(text, token="demo", **page):
        query = urllib.parse.urlencode({"q": text, "type": "playlist", **page})
        said = up.call("GET", f"/v1/search?{query}", token=token)["playlists"]
        return [item["id"] for item in said["items"]], said["total"], said["next"]

    def publish(playlist, is_public):
        said = subsonic(up, "updatePlaylist", playlistId=f"pl-{playlist}", public=str(is_public).lower(), **proof_of(secret))
        expect(said["status"] == "ok", f"{said}")

    made = [up.call("POST", "/v1/me/playlists", {"name": f"Quixotic Ränder {n}"}, token=up.admin)["id"] for n in range(30)]
    begun = time.monotonic()
    ids, total, _ = found("quixotc rander", up.admin, limit=50)
    took = time.monotonic() - begun
    expect(sorted(ids) == sorted(made) and total == 30, f"their owner finds {len(ids)} of {total}")
    expect(took < 1, f"found after {took} s")
    expect(found("quixotic rander") == ([], 0, None), f"another finds {found('quixotic rander')}")
    for n in made:
        expect(up.ask("GET", f"/v1/playlists/{n}")[0] == 404, "another reads it")
    # Every third is for everybody: found within a second, in full pages that count no more than what is shown.
    public = made[::3]
    begun = time.monotonic()
    for playlist in public:
        publish(playlist, True)
    ids, total, _ = found("quixotic rander", limit=50)
    took = (time.monotonic() - begun) / len(public)
    expect(sorted(ids) == sorted(public) and total == len(public), f"another finds {len(ids)} of {total}")
    pages = [found("quixotic rander", limit=4, offset=offset) for offset in (0, 4, 8)]
    expect([len(page[0]) for page in pages] == [4, 4, 2] and {page[1] for page in pages} == {10}, f"{pages}")
    expect(sorted(sum((page[0] for page in pages), [])) == sorted(public) and pages[2][2] is None, "the pages are not the whole")
    expect(found("quixotic rander", up.admin, limit=50)[1] == 30, "their owner finds his private ones no more")
    # What changes is found as it is now, and no more as it was.
    up.call("PUT", f"/v1/playlists/{public[0]}", {"name": "Zephyrous"}, token=up.admin)
    publish(public[1], False)
    up.call("DELETE", f"/v1/playlists/{public[2]}/followers", token=up.admin)
    expect(found("zephyrous")[0] == [public[0]], "the new name")
    ids, total, _ = found("quixotic rander", limit=50)
    expect(sorted(ids) == sorted(public[3:]) and total == 7, f"{ids} of {total}")
    # A start reads the public ones from the store.
    up.restart()
    end = time.monotonic() + SEEN_WITHIN_S
    while found("zephyrous")[0] != [public[0]] and time.monotonic() < end:
        time.sleep(0.1)
    expect(found("zephyrous")[0] == [public[0]] and found("quixotic rander", limit=50)[1] == 7, "a start forgets public playlists")
    for playlist in made:
        up.ask("DELETE", f"/v1/playlists/{playlist}/followers", token=up.admin)
    expect(found("zephyrous", up.admin)[0] == [], "deleted ones are found")
    return f"made public and found {took * 1000:.0f} ms later"


@check
def a_plan_and_a_window_that_forbid_are_kept(world):
    up = guarded(world)
    items = up.tracks()["items"]
    track, other, third = items[0]["id"], items[1]["id"], items[2]["id"]
    path = f"/v1/tracks/{track}/stream?codec=ogg"
    premium, free = up.call("GET", f"{path}&kbps=320"), up.call("GET", f"{path}&kbps=320", token=up.admin)
    expect(premium["rendition"]["kbps"] == 320, f"premium hears {premium['rendition']}")
    expect(free["rendition"]["kbps"] == 160 and all("/160.ogg?" in url for url in free["urls"]), f"free hears {free}")
    expect("plan" in free["reason_code"], f"the reason: {free['reason_code']}")
    status, _, _ = get(free["urls"][0].replace("/160.ogg?", "/320.ogg?"))
    expect(status == 403, f"the URL of 160 opens 320: {status}")
    secret, _ = app_password(up)
    song = f"tr-{track}"
    led = subsonic(up, "stream", id=song, maxBitRate=320, format="ogg", **proof_of(secret))
    expect(led["status"] == "elsewhere" and "/160.ogg?" in led["to"], f"Subsonic leads to {led}")

    # A track that is made at 320 alone is nothing for the free plan.
    _, out, _ = run([world.binary, "catalog", "export", "--data", up.data])
    exported = [json.loads(line) for line in out.decode().splitlines()]
    whole = next(change for change in exported if change["change"] == "track" and change["id"] == third)
    high = {**whole, "renditions": [made for made in whole["renditions"] if "320" in json.dumps(made)]}
    expect(len(high["renditions"]) == 2, f"{high['renditions']}")
    up.change(high)
    refused(up, f"/v1/tracks/{third}/stream", "no-rendition", up.admin)
    expect(up.call("GET", f"/v1/tracks/{third}/stream")["rendition"]["kbps"] == 320, "premium does not hear it")
    up.change(whole)
    until(up, f"/v1/tracks/{third}/stream", 200, up.admin)

    now = int(time.time())
    for slug, window in [("not-available-here", {"territory": "US", "from": None, "until": None}), ("not-available-yet", {"territory": None, "from": now + CENTURY_S, "until": None}),
                         ("no-longer-available", {"territory": None, "from": None, "until": now - 10})]:
        up.change({"change": "windows", "track": track, "windows": [window]})
        for token in (up.token, up.admin):
            refused(up, path, slug, token)
        said = subsonic(up, "stream", id=song, **proof_of(secret))
        expect(said["status"] == "failed" and said["error"]["code"] == 70, f"Subsonic: {said}")
        # Nor is it fetched ahead under the right to hear another.
        expect(up.call("GET", f"/v1/tracks/{other}/stream?next={track}")["next"] is None, "what is forbidden is announced")
    up.change({"change": "windows", "track": track, "windows": []})
    until(up, path, 200, up.token)
    return "320 for the free plan, three windows"


def until(up, path, wanted, token, slug=""):
    """A change that another process makes is seen within a moment. Gives the answer's text."""
    end = time.monotonic() + SEEN_WITHIN_S
    while True:
        status, text = up.ask("GET", path, token=token)
        if status == wanted and slug in text:
            return text
        expect(time.monotonic() < end, f"{path} is answered {status}, not {wanted} {slug}: {text[:200]}")
        time.sleep(0.1)


def refused(up, path, slug, token):
    said = json.loads(until(up, path, 403, token, f":{slug}"))
    expect(said["type"].endswith(f":{slug}") and said["title"] and "urls" not in said, f"{said}")


# --- hostile names -----------------------------------------------------------------------------------------------------

PWN = "window.pwned=(window.pwned||0)+1"
HOSTILE = {
    "script": f"<script>{PWN}</script>",
    "image": f'<img src=x onerror="{PWN}">',
    "svg": f'"><svg onload={PWN}>',
    "attribute": f"' onmouseover='{PWN}' x='",
    "url": f"javascript:{PWN}",
    "template": "${" + PWN + "}{{" + PWN + "}}",
    "entity": ']]>&lol;<!DOCTYPE x [<!ENTITY lol "x">]>&#0;&#xFFFE;',
    "sql": "'; DROP TABLE tracks; --",
    "or": "\" OR 1=1 -- ' OR '1'='1",
    "like": "%_%\\",
    "lines": "Song\r\nX-Injected: yes\r\n\r\nHTTP/1.1 200 OK",
    "turned": "\u202egnp.exe\u2066 \u200b\ufeff",
    "unseen": "bell\x07 escape\x1b[31m\x1b]0;title\x07 \x85\x9b \ufffe\uffff \u2028\u2029",
    "zalgo": "Z" + "\u0301\u0316" * 400,
    "long": "L" * 10_000,
    "emoji": "👩‍👩‍👧‍👦 \U0010ffff 愛",
}
# What is no text at all.
BYTES = {"surrogate": b"lone \xed\xa0\x80\xed\xb0\x80 surrogates", "invalid": b"\xff\xfe\xc3\x28 \xf8\x88\x80\x80\x80", "cut": "ä".encode()[:1] * 3}
FILE_NAMES = {
    "html": "<img src=x onerror=alert(1)>".encode(), "lines": b"two\r\nlines", "escape": b"\x1b]0;owned\x07\x1b[31mred", "bytes": b"\xff\xfe\xed\xa0\x80",
    "dash": b"-i --help", "turned": "\u202egnp.exe".encode(), "quotes": b"'\"`$(touch pwned)`;|&", "long": b"n" * 240,
}


def hostile_music(world):
    """A file for each hostile text, in title, artist, album and album artist at once; and files of hostile names."""
    folder = world.scratch / "hostile"
    if folder.exists():
        return folder
    making = world.scratch / "hostile-making"
    making.mkdir()
    texts = {**{name: text.encode() for name, text in HOSTILE.items()}, **BYTES}
    for number, (name, text) in enumerate(texts.items()):
        sound(os.fsencode(making / f"tag-{name}.flac"), 200 + 30 * number, text)
    for number, (name, file) in enumerate(FILE_NAMES.items()):
        sound(os.path.join(os.fsencode(making), file + b".flac"), 2_000 + 50 * number, None)
    # One that is no music: its name is told as a failure.
    with open(os.path.join(os.fsencode(making), b"\x1b[31mbroken\r\n<img src=x onerror=alert(2)>.flac"), "wb") as broken:
        broken.write(b"fLaC" + bytes(100))
    making.rename(folder)
    return folder


def sound(path, hertz, text):
    """Two seconds of a tone, tagged."""
    tags = []
    for field in ("title", "artist", "album", "album_artist", "genre"):
        tags += ["-metadata", field.encode() + b"=" + text] if text is not None else []
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"sine=frequency={hertz}:duration=2", *tags, "-f", "flac", b"file:" + path],
        capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
    )
    expect(made.returncode == 0, f"ffmpeg: {made.stderr[-300:]!r}")


class Poisoned(Up):
    """An `up` over the hostile files, and with hostile names that come by import, by playlist and by device."""

    def __init__(self, world):
        folder = hostile_music(world)
        self.count = len(HOSTILE) + len(BYTES) + len(FILE_NAMES)
        super().__init__(world, world.scratch / "poisoned", ["--music", folder])
        self.wait_ingested(self.count)
        # What tags cannot hold because it is cleaned on the way in may still come by import.
        texts = [text.encode()[:1_000].decode(errors="ignore") for text in HOSTILE.values()]
        names = [{"change": "artist", "id": f"{number:022d}", "name": text, "sort_name": text} for number, text in enumerate(texts)]
        lines = "".join(json.dumps(name) + "\n" for name in names)
        run([world.binary, "catalog", "import", "-", "--data", self.data], said=lines.encode())
        self.imported = len(names)
        self.secret = None

    def everything(self):
        """Every track, page by page."""
        found, total = [], 1
        while len(found) < total:
            page = self.call("GET", f"/v1/tracks?limit=50&offset={len(found)}")
            found, total = found + page["items"], page["total"]
            expect(page["items"], "an empty page in the middle")
        return found


def poisoned(world):
    found = getattr(world, "_poisoned", None)
    if found is None or found.server.process.poll() is not None:
        found = world._poisoned = Poisoned(world)
    return found


@check
def hostile_names_stay_names_in_lists_searches_and_headers(world):
    up = poisoned(world)
    tracks = up.everything()
    expect(len(tracks) == up.count, f"{len(tracks)} of {up.count} tracks")
    said = up.call("GET", "/v1/ingest")
    expect(said["failed"] == 1 and "broken" in said["failures"][0]["name"], f"{said['failures']}")
    expect("/" not in said["failures"][0]["name"], "folders of this machine are told")
    for track in tracks:
        text = track["name"] + track["album"]["name"] + "".join(artist["name"] for artist in track["artists"])
        expect(not re.search(r"[\x00-\x1f\x7f]", text), f"a control character: {text[:80]!r}")
        expect(len(track["name"]) <= 600, f"a name of {len(track['name'])} characters")
    before = up.call("GET", "/v1/artists?limit=1")["total"]
    paths = ["/v1/tracks?order=newest", "/v1/albums?order=name", "/v1/albums?order=newest", "/v1/artists", "/v1/browse/home", f"/v1/tracks/{tracks[0]['id']}/stream"]
    for text in [*HOSTILE.values(), "\x00", "*", "?", "[", "(" * 200, "a" * 4_000]:
        quoted = urllib.parse.quote(text)[:6_000]
        paths += [f"/v1/search?q={quoted}&type=track,album,artist", f"/v1/tracks/{quoted[:200]}", f"/v1/artists/{quoted[:200]}/albums", f"/v1/tracks?order={quoted[:200]}",
                  f"/v1/playlists/{quoted[:200]}", f"/v1/nothing/{quoted[:200]}", f"/{quoted[:200]}", f"/art/{quoted[:100]}/300.jpg", f"/rest/{quoted[:100]}?f={quoted[:100]}",
                  f"/rest/ping?f=jsonp&callback={quoted[:200]}", f"/rest/stream?id={quoted[:200]}"]
    for path in paths:
        status, answer = raw_status(up, "GET", path, f"Authorization: Bearer {up.token}".encode())
        head, body = answer.split(b"\r\n\r\n", 1)
        expect(status in (200, 302, 400, 403, 404, 414), f"{status} to {path[:120]}")
        expect(b"\r\nx-injected" not in head.lower(), f"an injected field for {path[:120]}: {head!r}")
        kind = re.search(rb"\r\ncontent-type: ([^\r]*)", head.lower()).group(1)
        expect(b"html" not in kind, f"{path[:120]} is answered as {kind}")
        expect(b"nosniff" in head.lower() or kind.startswith((b"application/json", b"application/problem+json")), f"{path[:120]} may be sniffed: {head!r}")
        if b"json" in kind and b"javascript" not in kind:
            json.loads(body)
    # A search for each of them finds it or nothing, and takes nothing away.
    for text in HOSTILE.values():
        up.call("GET", f"/v1/search?q={urllib.parse.quote(text[:SEARCH_CHARS])}&type=track")
    expect(len(up.everything()) == up.count and up.call("GET", "/v1/artists?limit=1")["total"] == before, "a search changed the catalog")
    found = up.call("GET", f"/v1/search?q={urllib.parse.quote('DROP TABLE tracks')}&type=track")["tracks"]["items"]
    expect(any("DROP TABLE" in track["name"] for track in found), "a title of SQL is not found")
    log = up.server.log.read_bytes()
    expect(b"\x1b[31m" not in log and b"\x1b]0;" not in log and b"\x07" not in log, "a name speaks to the terminal")
    return f"{len(tracks)} tracks, {len(paths)} requests"


@check
def hostile_names_are_well_formed_xml_for_subsonic(world):
    up = poisoned(world)
    session = administrator(up)
    secret = up.call("POST", "/v1/me/credentials", {"kind": "app-password", "client": "xml"}, token=session)["secret"]
    for text in HOSTILE.values():
        up.ask("POST", "/v1/me/playlists", {"name": text[:200]}, token=session)
    proof = {"v": "1.16.1", "c": "check", **proof_of(secret)}

    def ask(call, **parameters):
        _, out, _ = run(["curl", "-s", f"{up.base}/rest/{call}?{urllib.parse.urlencode({**proof, **parameters})}"])
        try:
            root = xml.etree.ElementTree.fromstring(out)
        except xml.etree.ElementTree.ParseError as error:
            expect(False, f"{call} {parameters}: {error} in {out[:300]!r}")
        expect(root.tag.endswith("subsonic-response"), root.tag)
        return root

    def every(root, name):
        return [element for element in root.iter() if element.tag.rsplit("}", 1)[-1] == name]

    asked = 0
    artists = every(ask("getArtists"), "artist")
    expect(len(artists) >= len(HOSTILE), f"{len(artists)} artists")
    for artist in artists:
        for call in ("getArtist", "getArtistInfo2", "getMusicDirectory"):
            ask(call, id=artist.attrib["id"])
            asked += 1
    albums = every(ask("getAlbumList2", type="alphabeticalByName", size=500), "album")
    expect(len(albums) >= len(HOSTILE), f"{len(albums)} albums")
    songs = [song for album in albums for song in every(ask("getAlbum", id=album.attrib["id"]), "song")]
    expect(len(songs) == up.count, f"{len(songs)} songs")
    for song in songs:
        ask("getSong", id=song.attrib["id"])
        ask("star", id=song.attrib["id"])
    for call, parameters in [("getIndexes", {}), ("getGenres", {}), ("getRandomSongs", {"size": 500}), ("getStarred2", {}), ("getPlaylists", {}), ("getUser", {"username": "admin"}), ("tokenInfo", {})]:
        ask(call, **parameters)
    for text in HOSTILE.values():
        text = text[:500].replace("\x00", "")
        for call, parameters in [("search3", {"query": text}), ("getTopSongs", {"artist": text}), ("getAlbumList2", {"type": "byGenre", "genre": text}), ("getSong", {"id": text}),
                                 ("createPlaylist", {"name": text}), ("getLyrics", {"artist": text, "title": text}), ("scrobble", {"id": text}), (urllib.parse.quote(text[:60], safe=""), {})]:
            ask(call, **parameters)
            asked += 1
    expect(every(ask("getPlaylists"), "playlist"), "no playlist")
    return f"{len(artists)} artists, {len(albums)} albums, {len(songs)} songs, {asked} more answers"


@check
def hostile_names_run_nothing_in_the_player(world):
    up = poisoned(world)
    for text in HOSTILE.values():
        up.ask("POST", "/v1/me/playlists", {"name": text[:200]})
    shots = world.scratch / "security"
    shots.mkdir(exist_ok=True)
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules)
    _, out, _ = run(["node", SCRIPT, f"http://localhost:{up.port}", shots], env=env, timeout=200)
    said = json.loads(out.decode().strip().splitlines()[-1])
    expect(not said.get("failure"), said.get("failure"))
    expect(said["pwned"] == 0 and not said["dialogs"], f"a script ran: {said}")
    expect(not said["outside"], f"asked elsewhere: {said['outside'][:3]}")
    expect(said["scripts"] <= 1 and said["foreign"] == 0, f"markup came into the page: {said}")
    expect(not said["policy"], f"only the policy stopped it: {said['policy'][:3]}")
    expect(not said["wide"], f"{len(said['wide'])} views are wider than a phone: {said['wide'][:5]}")
    expect(said["rows"] >= up.count and said["views"] > 60, f"{said}")
    return f"{said['views']} views, {said['rows']} rows"


@check
def what_was_answered_just_before_ctrl_c_is_there_after_a_restart(world):
    up = guarded(world)
    items = [track["id"] for track in up.tracks()["items"]]
    # In the same moment: the play is written behind the answer.
    now = int(time.time() * 1000)
    up.call("PUT", "/v1/me/queue", {"items": items[:4], "index": 3, "position_ms": 4321, "changed": now})
    up.call("POST", "/v1/me/playlists", {"name": "The last one"})
    plays = {item: up.stream(item, start="zero")["playback_id"] for item in items}
    code, took = up.server.stop(signal.SIGINT)
    expect(code == 0 and took < 2, f"exit code {code} after {took:.2f} s")
    # A session that has expired while nobody was there is forgotten by the next start.
    token = up.token
    old = up.read("SELECT id FROM account_tokens WHERE kind = 'session' AND digest <> ?", hashlib.sha256(token.encode()).digest())[0][0]
    up.write("UPDATE account_tokens SET expires = 1 WHERE id = ?", old)
    back = Up(world, up.data, name="guarded-again")
    try:
        back._token = token
        expect({item: back.stream(item)["playback_id"] for item in items} == plays, "a play of the last moment was lost")
        queue = back.call("GET", "/v1/me/queue")
        expect((queue["items"], queue["position_ms"]) == (items[:4], 4321), f"{queue}")
        expect("The last one" in json.dumps(back.call("GET", "/v1/me/playlists")), "the playlist was lost")
        end = time.monotonic() + 10
        while up.read("SELECT id FROM account_tokens WHERE id = ?", old):
            expect(time.monotonic() < end, "what has expired is kept for ever")
            time.sleep(0.1)
    finally:
        back.server.stop()
    return f"{len(plays)} plays, stopped in {took:.2f} s"
