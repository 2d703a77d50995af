"""The public API: its document is true, its answers are of the form that it says, and nobody may call too often."""

import collections
import copy
import json
import pathlib
import re
import sys
import time

from check_player import ALBUMS, TRACKS, administrator, music
from check_podcasts import feed, publisher
from harness import Up, check, environment, expect, free_port, get, run

SCRIPT = pathlib.Path(__file__).parent / "cors.mjs"
# What schemathesis is started with, beside what it is to look at. 1 is any number: the same cases in every run.
SEED = 1
# Cases that it makes up for each call, beside those at the edges of what the document allows.
EXAMPLES = 12
# Members of these may be any: they are documents of others.
OPEN = {"OpenApi"}


class Answer:
    """Status, fields (lower case) and text."""

    def __init__(self, raw):
        head, self.text = raw.split("\r\n\r\n", 1)
        while re.match(r"HTTP/1\.1 100", head):
            head, self.text = self.text.split("\r\n\r\n", 1)
        first, *lines = head.split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {}
        for line in lines:
            name, value = line.split(":", 1)
            known = self.fields.get(name.lower())
            self.fields[name.lower()] = f"{known}, {value.strip()}" if known else value.strip()

    def json(self):
        return json.loads(self.text)


def ask(here, method, path, token=None, fields=(), body=None, kind="application/json"):
    said = ["-I"] if method == "HEAD" else ["-i", "-X", method]
    for field in [*fields, *([f"Authorization: Bearer {token}"] if token else [])]:
        said += ["-H", field]
    if body is not None:
        said += ["-H", f"Content-Type: {kind}", "-d", body if isinstance(body, str) else json.dumps(body)]
    _, out, _ = run(["curl", "-s", "--path-as-is", *said, f"{here.base}{path}"])
    return Answer(out.decode())


def is_problem(answer, slug=None):
    """A refusal as RFC 9457 has it."""
    kind = answer.fields.get("content-type")
    if kind != "application/problem+json" or answer.json()["status"] != answer.status:
        return False
    return slug is None or answer.json()["type"] == f"urn:needledrop:problem:{slug}"


class Api(Up):
    """An `up` whose document is known, with a key of the administrator's."""

    def __init__(self, world):
        config = world.scratch / "api.toml"
        config.write_text('[up.feeds]\nallow_networks = ["127.0.0.0/8"]\n')
        super().__init__(world, world.scratch / "api", ["--config", config, "--music", music(world)])
        self.wait_ingested(len(ALBUMS) * TRACKS)
        self.publisher = publisher(world)
        self.document = ask(self, "GET", "/v1/openapi.json").json()
        self.session = administrator(self)
        self.demo = self.token
        made = ask(self, "POST", "/v1/me/credentials", self.session, body={"kind": "api-key", "client": "check"})
        self.key = made.json()["secret"]
        self.examples = self.real_things()
        # What calls that remove may take: what they took would be missing in all the others.
        self.spare = {"playlists": self.playlist("To be removed"), "shows": self.show("To be removed")}

    def playlist(self, name):
        return ask(self, "POST", "/v1/me/playlists", self.session, body={"name": name}).json()["id"]

    def show(self, name):
        path = f"/{name.replace(' ', '-')}.xml"
        self.publisher.serve(path, feed(self.publisher, name, {1: "One", 2: "Two"}))
        added = ask(self, "POST", "/v1/shows", self.session, body={"feed": self.publisher.base + path})
        expect(added.status == 201, f"adding a feed answers {added.status}: {added.text[:200]}")
        return added.json()["id"]

    def real_things(self):
        """An id of something that is there, for each path that has one."""
        def of(path, token=self.session):
            answer = ask(self, "GET", path, token)
            expect(answer.status == 200, f"{path} answers {answer.status}: {answer.text[:200]}")
            return answer.json()["items"][0]["id"]

        track = of("/v1/tracks")
        made, show = self.playlist("For the check"), self.show("For the check")
        added = ask(self, "POST", f"/v1/playlists/{made}/items", self.session, body={"uris": [f"needledrop:track:{track}"] * 3})
        expect(added.status == 201, f"adding answers {added.status}: {added.text}")
        spare = ask(self, "POST", "/v1/me/credentials", self.session, body={"kind": "api-key", "client": "to be revoked"})
        guest = ask(self, "POST", "/v1/invitations", self.session, body={"plan": "free"})
        return {"tracks": track, "albums": of("/v1/albums"), "artists": of("/v1/artists"), "playlists": made,
                "shows": show, "episodes": of(f"/v1/shows/{show}/episodes"), "me": spare.json()["id"],
                "invitations": guest.json()["id"]}

    def paths(self):
        """(method, template, a real path, operation) of every call."""
        for template, methods in self.document["paths"].items():
            real = re.sub(r"\{\w+\}", self.examples.get(template.split("/")[2], "x" * 22), template)
            for method, operation in methods.items():
                yield method.upper(), template, real, operation


def api(world):
    found = getattr(world, "_api", None)
    if found is None or found.server.process.poll() is not None:
        found = world._api = Api(world)
    return found


def closed(document):
    """The document with schemas that allow nothing that they do not name: what clients are told may grow, and what we
    answer may not grow without being told."""
    document = copy.deepcopy(document)

    def close(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "object" and "properties" in schema:
                schema.setdefault("additionalProperties", False)
            for member in schema.values():
                close(member)
        elif isinstance(schema, list):
            for member in schema:
                close(member)

    taken = {content["schema"]["$ref"].rsplit("/", 1)[1] for methods in document["paths"].values() for of in methods.values()
             for content in of.get("requestBody", {"content": {}})["content"].values()}
    # What we take stays open: clients send more than we read.
    taken |= {"UrisInObjects"}
    for name, schema in document["components"]["schemas"].items():
        if name not in taken | OPEN:
            close(schema)
    return document


def matches(document, name, value):
    """Why a value is not of a schema, if it is not."""
    import jsonschema_rs

    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    errors = list(jsonschema_rs.validator_for(schema).iter_errors(value))
    return "; ".join(f"{'/'.join(map(str, e.instance_path))}: {e.message[:160]}" for e in errors[:3])


@check
def the_document_is_openapi_3_1_and_kept_by_its_readers(world):
    # It takes seconds to load; runs of other checks do without.
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    here = api(world)
    answer = ask(here, "GET", "/v1/openapi.json")
    expect(answer.fields["content-type"] == "application/json" and "public" in answer.fields["cache-control"], f"{answer.fields}")
    tag = answer.fields["etag"]
    again = ask(here, "GET", "/v1/openapi.json", fields=[f"If-None-Match: {tag}"])
    expect((again.status, again.text) == (304, ""), f"{again.status} with {len(again.text)} bytes")
    errors = [f"{list(e.instance_path)}: {e.message[:200]}" for e in OPENAPI_31_VALIDATOR.iter_errors(here.document)]
    expect(not errors, f"{errors[:3]}")
    calls = list(here.paths())
    bare = [f"{m} {t}" for m, t, _, of in calls if not of.get("summary") or not of.get("operationId")]
    expect(not bare, f"not described: {bare}")
    return f"{len(calls)} calls, {len(here.document['components']['schemas'])} schemas, {len(answer.text) // 1024} KiB"


@check
def every_get_answers_as_documented_and_can_be_asked_again(world):
    here = api(world)
    document = closed(here.document)
    looked, tagged = 0, 0
    for method, template, path, operation in here.paths():
        if method != "GET":
            continue
        # A question where one is needed.
        path += "?q=noon&type=artist,album,track,playlist,show&explain=1" if template == "/v1/search" else ""
        path += f"?uris=needledrop:track:{here.examples['tracks']}" if template == "/v1/me/library/contains" else ""
        answer = ask(here, "GET", path, here.session)
        expect(answer.status == 200, f"{path} answers {answer.status}: {answer.text[:200]}")
        expect(answer.fields["content-type"] == "application/json", f"{path}: {answer.fields}")
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        wrong = matches(document, schema, answer.json())
        expect(not wrong, f"{path} is no {schema}: {wrong}")
        head = ask(here, "HEAD", path, here.session)
        expect((head.status, head.text) == (200, ""), f"HEAD {path} answers {head.status} with {len(head.text)} bytes")
        looked += 1
        has_tag = "etag" in answer.fields
        expect(has_tag == ("304" in operation["responses"]), f"{path}: a tag is documented or sent, not both")
        if not has_tag:
            expect(answer.fields["cache-control"] == "no-store", f"{path}: {answer.fields['cache-control']}")
            continue
        expect(head.fields["etag"] == answer.fields["etag"], f"HEAD {path} has another tag")
        for wish in (answer.fields["etag"], "W/" + answer.fields["etag"], f'"other", {answer.fields["etag"]}', "*"):
            again = ask(here, "GET", path, here.session, [f"If-None-Match: {wish}"])
            expect((again.status, again.text) == (304, ""), f"{path} answers {again.status} to {wish}")
            expect(again.fields["etag"] == answer.fields["etag"], f"{path}: 304 without its tag")
        again = ask(here, "GET", path, here.session, ['If-None-Match: "other"'])
        expect(again.status == 200, f"{path} answers {again.status} to another tag")
        tagged += 1
    return f"{looked} calls, {tagged} of them with tags"


@check
def lists_are_walked_to_their_end_by_next(world):
    here = api(world)
    # Longer than a page: its beginning comes with it, and leads on.
    uris = [f"needledrop:track:{here.examples['tracks']}"] * 250
    long = here.playlist("Long")
    expect(ask(here, "POST", f"/v1/playlists/{long}/items", here.session, body={"uris": uris}).status == 201, "250 tracks are refused")
    page = ask(here, "GET", f"/v1/playlists/{long}", here.session).json()["items"]
    counts = [len(page["items"])]
    while page["next"]:
        page = ask(here, "GET", page["next"].removeprefix(here.base), here.session).json()
        counts.append(len(page["items"]))
    expect(counts == [100, 100, 50], f"{counts}")
    ask(here, "DELETE", f"/v1/playlists/{long}/followers", here.session)
    lists = {"/v1/tracks": 9, "/v1/albums": 3, "/v1/artists": 2, "/v1/me/playlists": 2,
             f"/v1/albums/{here.examples['albums']}/tracks": 3, f"/v1/artists/{here.examples['artists']}/albums": None}
    for path, count in lists.items():
        seen, at = [], f"{path}?limit=2"
        while at:
            answer = ask(here, "GET", at, here.session)
            page = answer.json()
            expect(answer.status == 200 and page["limit"] == 2, f"{at}: {answer.status}")
            expect((f'<{page["next"]}>; rel="next"' if page["next"] else None) == answer.fields.get("link"), f"{at}: {answer.fields.get('link')}")
            seen += [item["id"] for item in page["items"]]
            expect(len(seen) <= page["total"], f"{at} leads in circles")
            at = page["next"] and page["next"].removeprefix(here.base)
        expect(len(seen) == len(set(seen)) == page["total"], f"{path}: {len(seen)} of {page['total']}")
        expect(count in (None, len(seen)), f"{path} has {len(seen)}")
        back = ask(here, "GET", f"{path}?limit=1&offset=1", here.session).json()["previous"]
        expect(back and "offset=0" in back, f"{path} has no way back: {back}")
    return f"{len(lists)} lists"


@check
def what_is_asked_wrongly_is_refused_by_name(world):
    here = api(world)
    track = here.examples["tracks"]
    wrong = {
        "/v1/tracks?limit=0": "limit", "/v1/tracks?limit=51": "limit", "/v1/tracks?limit=ten": "limit", "/v1/tracks?limit=": "limit",
        "/v1/tracks?limit=1&limit=2": "limit", "/v1/tracks?limit=%2B1": "limit", "/v1/tracks?offset=-1": "offset",
        "/v1/tracks?ids=": "ids", "/v1/tracks?ids=short": "ids", f"/v1/tracks?ids={','.join([track] * 51)}": "ids", "/v1/me/library/contains": "uris",
        f"/v1/me/library/contains?uris={track}": "uris", f"/v1/me/library/contains?uris=needledrop:show:{track}": "uris",
        "/v1/tracks?order=loudest": "order", "/v1/search": "q", "/v1/search?q=%20": "q", f"/v1/search?q={'a' * 1001}": "q",
        "/v1/search?q=a&type=song": "type", "/v1/search?q=a&type=": "type", "/v1/search?q=a&explain=yes": "explain",
        f"/v1/tracks/{track}/stream?kbps=161": "kbps", f"/v1/tracks/{track}/stream?codec=mp3": "codec",
        f"/v1/tracks/{track}/stream?start=middle": "start", f"/v1/tracks/{track}/stream?next=nothing": "next",
        f"/v1/artists/{here.examples['artists']}/albums?include_groups=best": "include_groups",
    }
    for path, name in wrong.items():
        answer = ask(here, "GET", path, here.session)
        expect(answer.status == 400 and is_problem(answer, "parameter"), f"{path} answers {answer.status}: {answer.text[:200]}")
        expect(answer.json()["detail"].startswith(f"{name}: "), f"{path}: {answer.json()['detail']}")
    for body, kind, status in [("{", "application/json", 400), ('{"name": 1}', "application/json", 400), ("{}", "application/json", 400),
                               ('{"name": "x"}', "text/plain", 415), ("name=x", "application/x-www-form-urlencoded", 415)]:
        answer = ask(here, "POST", "/v1/me/playlists", here.session, body=body, kind=kind)
        expect(answer.status == status and is_problem(answer), f"{body} as {kind} is answered {answer.status}: {answer.text[:200]}")
    for path in ("/v1/", "/v1/nothing", "/v1/tracks//", "/v1//tracks", "/v1/me/queue/x", "/rest"):
        answer = ask(here, "GET", path)
        expect(answer.status == 404 and is_problem(answer, "not-found"), f"{path} answers {answer.status}: {answer.text[:200]}")
    return f"{len(wrong)} parameters"


@check
def a_method_that_a_path_does_not_have_is_told_which_it_has(world):
    here = api(world)
    methods = collections.defaultdict(set)
    for method, _, path, _ in here.paths():
        methods[path] |= {method, "HEAD"} if method == "GET" else {method}
    asked = 0
    for path, known in methods.items():
        options = ask(here, "OPTIONS", path)
        expect(options.status == 204, f"OPTIONS {path} answers {options.status}")
        expect(set(options.fields["allow"].split(", ")) == known | {"OPTIONS"}, f"{path} allows {options.fields['allow']}, and is documented with {known}")
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "LINK"} - known:
            answer = ask(here, method, path, here.session)
            expect(answer.status == 405 and is_problem(answer, "method"), f"{method} {path} answers {answer.status}")
            expect(answer.fields["allow"] == options.fields["allow"], f"{method} {path}: {answer.fields.get('allow')}")
            asked += 1
    answer = ask(here, "DELETE", "/rest/ping")
    expect(answer.status == 405 and "GET" in answer.fields["allow"], f"/rest answers {answer.status}")
    return f"{asked} of {len(methods)} paths"


def settings(folder):
    """What schemathesis takes for granted, and what here is different."""
    file = folder / "schemathesis.toml"
    # 422 is what no schema can say: an index behind the end. 429 is what guessing passwords meets, whatever is sent.
    file.write_text("""
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 409, 413, 415, 422, 429]
# No form that is made up has a code or a token in it that is one, and what is no token needs no end (RFC 7009, 2.2).
[[operations]]
include-operation-id = ["issueToken", "revokeToken"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 429]
""")
    return file


def with_examples(here):
    """The document as schemathesis gets it: closed, and with things that are there, so that not all answers are 404."""
    document = closed(here.document)
    for template, methods in document["paths"].items():
        kind = template.split("/")[2]
        for method, operation in methods.items():
            known = {**here.examples, **here.spare} if method == "delete" and template == f"/v1/{kind}/{{id}}" else here.examples
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["example"] = known.get(kind, "x" * 22)
    text = json.dumps(document)
    # The track of the examples in bodies.
    return text.replace("4iV5W9uYEdYUVa79Axb7Rh", here.examples["tracks"])


def schemathesis(world, here, token, name, *more):
    folder = world.scratch / f"schemathesis-{name}"
    folder.mkdir()
    document = folder / "openapi.json"
    document.write_text(with_examples(here))
    began = time.monotonic()
    # One worker: two threads that both parse Python break CPython 3.11 before 3.11.8 now and then (its issue 106905).
    code, out, err = run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", settings(folder), "run", document, "--url", here.base,
         "--checks", "all", "--phases", "examples,coverage,fuzzing", "--seed", SEED, "--generation-deterministic",
         "--max-examples", EXAMPLES, "--workers", 1, "--continue-on-failure", "--no-color",
         "--suppress-health-check", "all", "--warnings", "off", "-H", f"Authorization: Bearer {token}",
         "--report", "ndjson", "--report-ndjson-path", folder / "events.ndjson", *more],
        timeout=200, check_exit=False, cwd=folder, env=environment(NO_COLOR=1))
    text = out.decode()
    (folder / "output.txt").write_text(text + err.decode())
    failures = text[text.find("FAILURES"):] if "FAILURES" in text else text[-1500:] + err.decode()[-500:]
    expect(code == 0, f"schemathesis ends with {code}, see {folder}/output.txt: {failures[:1200]}")
    tested = re.search(r"(\d+) generated", text)
    expect(tested, f"schemathesis says not how much it did: {text[-400:]}")
    return f"{tested.group(1)} cases in {time.monotonic() - began:.0f} s"


@check
def schemathesis_finds_nothing_as_an_administrator(world):
    here = api(world)
    # Ending the key in use would make everything after it a 401.
    said = schemathesis(world, here, here.key, "admin", "--exclude-operation-id", "signOut")
    expect(ask(here, "GET", "/v1/me", here.key).status == 200, "the key was ended on the way, and with it the test")
    expect(here.server.process.poll() is None, "the server has ended")
    return said


@check
def schemathesis_finds_nothing_where_only_administrators_may(world):
    here = api(world)
    # A key may not administer; a session may, and is neither ended nor given another password by these calls. Purges are
    # real, of whatever is made up; there is no edge of the example's name to drain.
    said = schemathesis(world, here, here.session, "operators", "--include-path-regex", "^/v1/(accounts|invitations|ops)")
    edge = ask(here, "GET", "/v1/ops", here.session).json()["edges"][0]
    expect(edge["state"] == "up", f"the built-in edge was drained on the way: {edge['state']}")
    return said


@check
def schemathesis_finds_nothing_as_the_demo_account(world):
    here = api(world)
    said = schemathesis(world, here, here.demo, "demo", "--exclude-operation-id", "signOut", "--exclude-operation-id", "signIn")
    expect(ask(here, "GET", "/v1/me", here.demo).status == 200, "the session was ended on the way, and with it the test")
    return said


@check
def schemathesis_finds_nothing_where_sessions_end(world):
    here = api(world)
    issued = ask(here, "POST", "/v1/session", body={"user": "demo", "password": "demo", "bearer": True}).json()["token"]
    said = schemathesis(world, here, issued, "end", "--include-operation-id", "signOut")
    expect(ask(here, "GET", "/v1/me", issued).status == 401, "the session goes on")
    return said


PAGE = "https://player.example"


@check
def pages_of_other_origins_call_without_the_cookie(world):
    here = api(world)
    for path, token in (("/v1/me", here.session), ("/v1/nothing", None), ("/v1/tracks", None), ("/rest/ping?f=json", None)):
        answer = ask(here, "GET", path, token, [f"Origin: {PAGE}"])
        expect(answer.fields.get("access-control-allow-origin") == "*", f"{path}: {answer.fields}")
        exposed = answer.fields["access-control-expose-headers"].split(", ")
        expect({"etag", "link", "retry-after", "server-timing"} <= set(exposed), f"{exposed}")
        expect("access-control-allow-credentials" not in answer.fields, f"{path} may be called with the cookie")
    asks = [f"Origin: {PAGE}", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization,content-type"]
    flight = ask(here, "OPTIONS", "/v1/me/queue", fields=asks)
    expect(flight.status == 204 and flight.text == "", f"a preflight is answered {flight.status}")
    expect("PUT" in flight.fields["access-control-allow-methods"], f"{flight.fields}")
    allowed = flight.fields["access-control-allow-headers"]
    expect("authorization" in allowed and "x-requested-with" not in allowed, f"{allowed}")
    expect(int(flight.fields["access-control-max-age"]) > 0, f"{flight.fields}")
    rest = ask(here, "OPTIONS", "/rest/search3", fields=asks)
    expect(rest.status == 204 and rest.fields["access-control-allow-origin"] == "*", f"/rest: {rest.status}")
    # The cookie from elsewhere, as browsers that send it at all would send it.
    cookie = f"Cookie: needledrop_session={here.demo}"
    expect(ask(here, "GET", "/v1/me", fields=[cookie]).status == 200, "the cookie opens nothing at all")
    port = here.base.rsplit(":", 1)[1]
    for said in (["Origin: https://evil.example"], ["Origin: null"], [f"Origin: http://127.0.0.1:{int(port) + 1}"],
                 ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"]):
        for method, path in (("GET", "/v1/me"), ("PUT", "/v1/me/queue"), ("DELETE", "/v1/session")):
            answer = ask(here, method, path, fields=[cookie, "X-Requested-With: x", *said], body=None if method != "PUT" else {})
            expect(answer.status == 403 and is_problem(answer, "cross-site"), f"{method} {path} with the cookie and {said}: {answer.status}")
        answer = ask(here, "POST", "/v1/session", fields=said, body={"user": "demo", "password": "demo"})
        expect(answer.status == 403 and "set-cookie" not in answer.fields, f"{said} gets a cookie: {answer.status}")
        answer = ask(here, "POST", "/v1/session", fields=said, body={"user": "demo", "password": "demo", "bearer": True})
        expect(answer.status == 403 and "token" not in answer.text, f"{said} signs in as the demo account: {answer.status}")
    return "tokens yes, cookies no"


@check
def a_browser_keeps_the_cookie_from_other_pages(world):
    here = api(world)
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules, TOKEN=here.key)
    code, out, err = run(["node", SCRIPT, f"http://localhost:{here.port}"], env=env, timeout=100, check_exit=False)
    lines = out.decode().splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    expect(code == 0 and not failed, f"{failed[:3] or err.decode()[-400:]}")
    done = sum(line.startswith("ok") for line in lines)
    expect(done >= 6, f"only {done} checks ran")
    return f"{done} checks in Chromium"


class Narrow(Up):
    """An `up` that lets nobody call often, and only pages of one origin; nobody is exempt."""

    def __init__(self, world):
        config = world.scratch / "narrow.toml"
        config.write_text(f"""
[up]
limits = {{ exempt = [] }}
[up.calls]
cors_origins = ["{PAGE}"]
read_rate = 1
read_burst = 8
search_rate = 1
search_burst = 3
write_rate = 1
write_burst = 4
sign_in_burst = 6
stranger_rate = 1
stranger_burst = 5
""")
        self.admin_port = free_port()
        more = ["--config", config, "--admin", f"127.0.0.1:{self.admin_port}"]
        super().__init__(world, world.scratch / "narrow", ["--music", music(world), *more])

    def metrics(self):
        token = (self.data / "admin.token").read_text().split()[-1]
        return get(f"http://127.0.0.1:{self.admin_port}/metrics", {"Authorization": f"Bearer {token}"})[2].decode()


def narrow(world):
    found = getattr(world, "_narrow", None)
    if found is None or found.server.process.poll() is not None:
        found = world._narrow = Narrow(world)
    return found


@check
def who_calls_too_often_is_told_when_to_come_back(world):
    here = narrow(world)

    def until_held(method, path, token=None, most=40, **more):
        for count in range(most):
            answer = ask(here, method, path, token, **more)
            if answer.status == 429:
                return count, answer
        expect(False, f"{method} {path} is answered {most} times at once")

    first, session = here.token, administrator(here)
    count, held = until_held("GET", "/v1/me", session)
    expect(6 <= count <= 12, f"{count} calls at once where 8 are allowed")
    expect(is_problem(held, "too-many-calls"), f"{held.text}")
    wait = int(held.fields["retry-after"])
    expect(0 < wait <= 2, f"Retry-After: {wait}")
    expect(held.fields["ratelimit-policy"] == '"read";q=8;w=8', f"{held.fields}")
    expect(held.fields["ratelimit"] == f'"read";r=0;t={wait}', f"{held.fields}")
    expect(ask(here, "GET", "/v1/me", first).status == 200, "another account waits too")
    expect(ask(here, "GET", "/v1/search?q=noon", session).status == 200, "another class waits too")
    time.sleep(wait)
    expect(ask(here, "GET", "/v1/me", session).status == 200, "who waited as told is refused")
    # Another credential of the same account is the same account.
    key = ask(here, "POST", "/v1/me/credentials", session, body={"kind": "api-key", "client": "x"}).json()["secret"]
    until_held("GET", "/v1/me", session)
    count, _ = until_held("GET", "/v1/me", key)
    expect(count <= 3, f"a second key gives an account {count} more calls")
    _, held = until_held("GET", f"/rest/getArtists?apiKey={key}&v=1.16.1&c=x&f=json")
    expect(is_problem(held, "too-many-calls") and "retry-after" in held.fields, f"/rest: {held.text[:200]}")
    count, _ = until_held("GET", "/v1/search?q=noon", session)
    expect(count <= 5, f"{count} searches at once where 3 are allowed")
    until_held("POST", "/v1/plays", session, body={"playback_id": "a" * 22, "track": "a" * 22, "intervals": []})
    # Strangers: with nothing, with a token that is none, and with a wrong key.
    for path, token in (("/v1/session/hint", None), ("/v1/me", "nonsense"), ("/rest/ping?apiKey=nonsense&v=1.16.1&c=x", None)):
        _, held = until_held("GET", path, token)
        expect(is_problem(held, "too-many-calls"), f"{path}: {held.text}")
        time.sleep(2)
    count, held = until_held("POST", "/v1/session", body={"user": "nobody", "password": "x"})
    expect(count <= 8, f"{count} passwords at once where 6 are allowed")
    expect(here.ask("GET", "/v1/session/hint", token=None)[0] == 200, "who may not sign in may not look either")
    counted = dict(re.findall(r'calls_limited_total\{class="([a-z-]+)"\} (\d+)', here.metrics()))
    expect(set(counted) == {"read", "search", "write", "sign-in", "stranger"} and all(int(n) > 0 for n in counted.values()), f"{counted}")
    return f"refused: {counted}"


@check
def only_pages_that_the_operator_named_may_call(world):
    here = narrow(world)
    for origin, is_known in ((PAGE, True), ("https://evil.example", False), (f"{PAGE}.evil.example", False), ("null", False)):
        answer = ask(here, "GET", "/v1/me", here.token, [f"Origin: {origin}"])
        expect(answer.fields.get("access-control-allow-origin") == (origin if is_known else None), f"{origin}: {answer.fields}")
        expect("origin" in answer.fields["vary"], f"{origin}: {answer.fields['vary']}")
    for _ in range(5):
        answer = ask(here, "POST", "/v1/session", fields=[f"Origin: {PAGE}"], body={"user": "demo", "password": "demo", "bearer": True})
        if answer.status != 429:
            break
        # The check before this one used up what a network may try; whoever waits as told comes in.
        time.sleep(int(answer.fields["retry-after"]))
    expect(answer.status == 200, f"a page that was named may not use the demo account: {answer.status}")
    return PAGE
