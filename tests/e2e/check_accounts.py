"""Who gets an account and who does not, how one leaves, and the forms for it in a browser."""

import concurrent.futures
import json
import pathlib
import re
import shutil
import sqlite3

from check_api import schemathesis
from check_player import administrator, music
from harness import Up, check, environment, expect, run

SCRIPT = pathlib.Path(__file__).parent / "accounts.mjs"
TRACKS = 2
PASSWORD = "a sentence nobody guesses"
# Of the administrator, as check_player sets it.
ADMIN_PASSWORD = "a better one than that"


class Signed(Up):
    """An `up` with an administrator, and a few tracks so that the player has a home."""

    def __init__(self, world, name, sign_up=""):
        folder = world.scratch / name
        few = folder / "music"
        few.mkdir(parents=True)
        for file in sorted(music(world).iterdir())[:TRACKS]:
            shutil.copy(file, few)
        config = folder / "needledrop.toml"
        config.write_text(sign_up)
        self.more = ["--config", config, "--music", few]
        super().__init__(world, folder / "data", self.more, name=name)
        self.wait_ingested(TRACKS)
        self.admin = administrator(self)

    def make(self, user, invitation=None, password=PASSWORD, **more):
        wish = {"user": user, "password": password, "bearer": True, **more}
        wish |= {"invitation": invitation} if invitation is not None else {}
        status, text = self.ask("POST", "/v1/accounts", wish, token=None)
        return status, json.loads(text)

    def invite(self, **wish):
        return self.call("POST", "/v1/invitations", {"plan": "free", **wish}, token=self.admin)

    def read(self, statement, *values):
        with sqlite3.connect(self.data / "needledrop.db", timeout=20) as database:
            rows = database.execute(statement, values).fetchall()
        database.close()
        return rows


def invited(world):
    found = getattr(world, "_invited", None)
    if found is None or found.server.process.poll() is not None:
        found = world._invited = Signed(world, "invited")
    return found


def opened(world):
    found = getattr(world, "_opened", None)
    if found is None or found.server.process.poll() is not None:
        # Two are there already: admin and demo.
        found = world._opened = Signed(world, "opened", '[up.sign_up]\nopen = true\nplan = "premium"\nmost_accounts = 6\n')
    return found


def kind(said):
    return said["type"].rsplit(":", 1)[1]


@check
def accounts_of_a_private_server_are_for_who_was_invited(world):
    up = invited(world)
    expect(up.call("GET", "/v1/session/hint", token=None)["sign_up"] == "invited", "the door says that anybody may come in")
    for user in ("ada", "admin", "nobody-has-this-one"):
        status, said = up.make(user)
        expect((status, kind(said)) == (403, "sign-up-closed"), f"{user} without an invitation: {status} {said}")
    for user in ("ada", "nobody-has-this-one"):
        status, said = up.make(user, "ndi_" + "A" * 43)
        expect((status, kind(said)) == (403, "not-invited"), f"{user} with nonsense: {status} {said}")
    made = up.invite(plan="premium", note="for Ada", expires_in=3600)
    token = made["token"]
    expect(made["link"] == f"/#/join/{token}" and made["expires"] - made["created"] == 3600, f"{made}")
    listed = up.call("GET", "/v1/invitations", token=up.admin)["items"]
    expect([one["note"] for one in listed] == ["for Ada"] and token not in json.dumps(listed), f"{listed}")
    for user, status, wanted in (("admin", 409, "name"), ("Need.le-drop", 409, "name"), ("demo", 409, "name"), ("a b", 400, "name"), ("ada\u0301", 400, "name"), ("\uff21\uff24\uff21", 400, "name")):
        got, said = up.make(user, token)
        expect((got, kind(said)) == (status, wanted), f"{user!r}: {got} {said}")
    status, said = up.make("ada", token, password="short")
    expect((status, kind(said)) == (400, "password"), f"a short password: {status} {said}")
    status, said = up.make("Ada", token, country="de")
    expect(status == 201 and said["user"]["user"] == "ada", f"{status} {said}")
    expect((said["user"]["plan"], said["user"]["country"], said["user"]["is_admin"]) == ("premium", "DE", False), f"{said['user']}")
    expect(up.call("GET", "/v1/me", token=said["token"])["id"] == said["user"]["id"], "the token is another's")
    status, again = up.make("eve", token)
    expect((status, kind(again)) == (403, "not-invited"), f"used twice: {status} {again}")
    # Who was invited may not invite, see who was, or take it back.
    other = up.invite()
    for method, path, body in (("GET", "/v1/invitations", None), ("POST", "/v1/invitations", {"plan": "premium"}), ("DELETE", f"/v1/invitations/{other['id']}", None)):
        status, _ = up.ask(method, path, body, token=said["token"])
        expect(status == 403, f"{method} {path} as a listener: {status}")
    up.call("DELETE", f"/v1/invitations/{other['id']}", token=up.admin)
    expect(up.make("eve", other["token"])[0] == 403, "an invitation that was taken back is good")
    expect(up.ask("DELETE", f"/v1/invitations/{other['id']}", token=up.admin)[0] == 404, "it is taken back twice")
    short = up.invite(expires_in=60)
    with sqlite3.connect(up.data / "needledrop.db", timeout=20) as database:
        database.execute("UPDATE invitations SET expires = 1")
    database.close()
    expect(up.make("eve", short["token"])[0] == 403, "an invitation that is over is good")
    expect(up.call("GET", "/v1/invitations", token=up.admin)["items"] == [], "one that is over is listed")
    log = up.server.log.read_text() + (up.data / "needledrop.db").read_bytes().decode(errors="replace")
    expect(token not in log and token[4:] not in log, "a token stands in the log or in the database")
    return "one account of one invitation"


@check
def accounts_that_are_asked_for_at_once_are_made_once(world):
    up = invited(world)
    token = up.invite()["token"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: up.make(f"racer{n}", token)[0], range(8)))
    expect(sorted(answers) == [201] + [403] * 7, f"one invitation: {answers}")
    expect(len(up.read("SELECT name FROM accounts WHERE name LIKE 'racer%'")) == 1, "there are more accounts than answers say")
    tokens = [up.invite()["token"] for _ in range(4)]
    spellings = ["twin", "Twin", "TWIN", "tWiN"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda pair: up.make(*pair)[0], zip(spellings, tokens)))
    expect(sorted(answers) == [201] + [409] * 3, f"one name: {answers}")
    left = up.call("GET", "/v1/invitations", token=up.admin)["items"]
    expect(len(left) == 3, f"{len(left)} invitations are left of those who did not get the name")
    return "of 8 with one invitation one, of 4 with one name one"


@check
def accounts_where_everybody_may_come_are_bounded(world):
    up = opened(world)
    up.token  # The demo account, which counts.
    expect(up.call("GET", "/v1/session/hint", token=None)["sign_up"] == "open", "the door does not say so")
    status, said = up.make("first")
    expect(status == 201 and said["user"]["plan"] == "premium", f"{status} {said}")
    status, again = up.make("FIRST")
    expect((status, kind(again)) == (409, "name-taken"), f"{status} {again}")
    # An invitation counts here too: its plan is another.
    status, other = up.make("second", up.invite(plan="free")["token"])
    expect(status == 201 and other["user"]["plan"] == "free", f"{status} {other}")
    # A browser gets the cookie and no token; a page elsewhere neither.
    wish = {"user": "third", "password": PASSWORD}
    for elsewhere in (["Origin: https://evil.example"], ["Sec-Fetch-Site: same-site"]):
        expect(up.ask("POST", "/v1/accounts", wish, token=None, fields=elsewhere)[0] == 403, f"{elsewhere} gets a cookie")
    _, out, _ = run(["curl", "-s", "-i", "-H", "Content-Type: application/json", "-d", json.dumps(wish), f"{up.base}/v1/accounts"])
    head, body = out.decode().split("\r\n\r\n", 1)
    expect(head.startswith("HTTP/1.1 201") and "token" not in body, f"{head} {body}")
    cookie = re.search(r"set-cookie: needledrop_session=(\S+); Path=/; HttpOnly; SameSite=Strict; Max-Age=\d+", head, re.I)
    expect(cookie and "no-store" in head.lower(), head)
    expect(up.ask("GET", "/v1/me", token=None, fields=[f"Cookie: needledrop_session={cookie.group(1)}"])[0] == 200, "the cookie is no good")
    status, _ = up.make("fourth")
    expect(status == 201, f"the sixth account of six: {status}")
    status, said = up.make("fifth")
    expect((status, kind(said)) == (409, "too-many-accounts"), f"the seventh of six: {status} {said}")
    return "six accounts and no more"


@check
def accounts_that_schemathesis_makes_are_as_documented(world):
    up = Signed(world, "made-up", "[up.sign_up]\nopen = true\n")
    up.document = up.call("GET", "/v1/openapi.json", token=None)
    # Invitations that are made up are refused, and with them almost everything: here none is needed.
    wish = up.document["components"]["schemas"]["NewAccount"]
    for place in (wish["properties"], *wish["examples"]):
        del place["invitation"]
    up.examples, up.spare = {"tracks": up.tracks()["items"][0]["id"]}, {}
    said = schemathesis(world, up, up.admin, "accounts", "--include-operation-id", "signUp")
    count = up.read("SELECT count(*) FROM accounts")[0][0]
    # Most made-up names are one another: the rest is told that they are taken.
    expect(count > 3, f"only {count} accounts are there")
    names = [name for name, in up.read("SELECT name FROM accounts")]
    expect(all(re.fullmatch(r"[0-9a-z][0-9a-z._@+-]{0,63}", name) for name in names), f"{names}")
    up.server.stop()
    return f"{said}, {count} accounts"


@check
def accounts_change_their_password_and_leave_for_good(world):
    up = invited(world)
    _, said = up.make("leaver", up.invite()["token"])
    session, here = said["token"], said["user"]["id"]

    def sign_in(password):
        return up.ask("POST", "/v1/session", {"user": "leaver", "password": password, "bearer": True}, token=None)

    other = json.loads(sign_in(PASSWORD)[1])["token"]
    key = up.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "stays"}, token=session)["secret"]
    status, text = up.ask("PUT", "/v1/me/password", {"old": "wrong", "new": "another sentence"}, token=session)
    expect((status, kind(json.loads(text))) == (401, "wrong-password"), f"a wrong old one: {status} {text}")
    expect(up.ask("GET", "/v1/me", token=other)[0] == 200, "a mistyped password ends sessions")
    status, _ = up.ask("PUT", "/v1/me/password", {"old": PASSWORD, "new": "another sentence"}, token=session)
    expect(status == 204, f"changing it: {status}")
    statuses = [up.ask("GET", "/v1/me", token=token)[0] for token in (session, other, key)]
    expect(statuses == [200, 401, 200], f"this session, another, a key: {statuses}")
    expect(sign_in(PASSWORD)[0] == 401, "the old password is good")
    # Something of everything.
    track = up.tracks()["items"][0]["id"]
    made = up.call("POST", "/v1/me/playlists", {"name": "Mine"}, token=session)["id"]
    up.call("POST", f"/v1/playlists/{made}/items", {"uris": [f"needledrop:track:{track}"]}, token=session)
    up.call("PUT", "/v1/me/queue", {"items": [track], "index": 0, "changed": 5}, token=session)
    up.call("GET", f"/v1/tracks/{track}/stream", token=session)
    status, text = up.ask("DELETE", "/v1/me", {"password": PASSWORD}, token=session)
    expect((status, kind(json.loads(text))) == (401, "wrong-password"), f"leaving with the old password: {status} {text}")
    expect(up.ask("DELETE", "/v1/me", {"password": "another sentence"}, token=key)[0] == 403, "a program removes an account")
    expect(up.ask("DELETE", "/v1/me", {"password": ADMIN_PASSWORD}, token=session)[0] == 401, "another's password will do")
    expect(len(up.call("GET", "/v1/me/playlists", token=session)["items"]) == 1, "a refusal took something away")
    status, text = up.ask("DELETE", "/v1/me", {"password": "another sentence"}, token=session)
    expect(status == 200, f"leaving: {status} {text}")
    for token in (session, key):
        expect(up.ask("GET", "/v1/me", token=token)[0] == 401, "a credential goes on")
    expect(sign_in("another sentence")[0] == 401, "the account is still there")
    tables = [("playlists", "owner"), ("playlist_marks", "account"), ("podcast_positions", "account"), ("play_queues", "account"),
              ("account_tokens", "account"), ("account_devices", "account"), ("current_plays", "account"), ("accounts", "id")]
    for table, column in tables:
        expect(not up.read(f"SELECT 1 FROM {table} WHERE {column} = ?", here), f"{table} still has rows of the account")
    status, text = up.ask("DELETE", "/v1/me", {"password": ADMIN_PASSWORD}, token=up.admin)
    expect((status, kind(json.loads(text))) == (409, "last-administrator"), f"the last administrator leaves: {status} {text}")
    expect(up.ask("GET", "/v1/me", token=up.admin)[0] == 200, "and is gone half way")
    return f"{len(tables)} tables are empty of it"


@check
def accounts_are_made_in_chromium(world):
    up, free = invited(world), opened(world)
    for n in range(6):  # Until it is full, whatever has run before.
        if free.make(f"filler{n}")[0] == 409:
            break
    shots = world.scratch / "accounts"
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules, PASSWORD=ADMIN_PASSWORD)
    code, out, err = run(["node", SCRIPT, f"http://localhost:{up.port}", f"http://localhost:{free.port}", shots], env=env, timeout=200, check_exit=False)
    lines = out.decode().splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    expect(code == 0 and not failed, f"{failed[:3] or err.decode()[-400:]}")
    done = sum(line.startswith("ok") for line in lines)
    expect(done >= 12, f"only {done} checks ran")
    return f"{done} checks; {len(list(shots.iterdir()))} screenshots"
