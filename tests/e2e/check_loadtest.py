"""The load tester as load testers use it: beside curl and h2load, through a whole needledrop, in CI, on several machines."""

import json
import os
import pathlib
import statistics

from harness import Server, check, environment, expect, free_port, need_links, run

SCRIPT = pathlib.Path(__file__).parent / "report.mjs"
SECOND_MS = 1_000.0


class Planted:
    """The load tester's own server, whose delays are known."""

    def __init__(self, world, name):
        self.folder = world.scratch / name
        self.folder.mkdir(exist_ok=True)
        self.plain, self.tls = free_port(), free_port()
        command = [loadtest(world), "planted", "--plain-port", self.plain, "--tls-port", self.tls]
        command += ["--bare-port", free_port(), "--certs", self.folder / "certs"]
        self.server = Server(command, self.folder / "log")
        world.servers.append(self.server)
        self.server.wait_for(self.tls)
        self.ca = self.folder / "certs" / "ca.pem"

    def url(self, path):
        return f"https://localhost:{self.tls}/{path}"


def loadtest(world):
    return world.binary.with_name("needledrop-loadtest")


def measure(world, *args, exit_code=0):
    """Runs the load tester; gives its report and the text at the end."""
    report = world.scratch / "loadtest.json"
    report.unlink(missing_ok=True)
    code, out, err = run([loadtest(world), "run", "--quiet", "--json", report, *args], check_exit=False)
    expect(code == exit_code, f"it ended with {code}: {err.decode()[-400:]} {out.decode()[-400:]}")
    return json.loads(report.read_text()), out.decode()


def latencies(report, measure_name, **wanted):
    """All values of one measure in ms, each as often as it came."""
    values = []
    for row in report["tally"]["latencies"]:
        if row["measure"] == measure_name and all(row[name] == value for name, value in wanted.items()):
            for micros, count in row["micros"]:
                values += [micros / SECOND_MS] * count
    return sorted(values)


def troubles(report):
    return report["tally"]["troubles"]


def curl_waits_ms(planted, path, count):
    """Median of the time from when curl's connection is ready to the first byte: what comes before is its TLS library."""
    form = "%{time_starttransfer} %{time_pretransfer}"
    command = ["curl", "-s", "-o", "/dev/null", "--http1.1", "--cacert", planted.ca, "-w", form, planted.url(path)]
    times = [[float(word) for word in run(command)[1].decode().split()] for _ in range(count)]
    return statistics.median(first - ready for first, ready in times) * SECOND_MS


@check
def the_load_tester_agrees_with_curl(world):
    planted = Planted(world, "beside-curl")
    path = "delay=100ms/size=64k/song"
    report, _ = measure(
        world, "--url", planted.url(path), "--ca", planted.ca, "--protocol", "h1", "--starts-only",
        "--arrivals", "even:10", "--for", "3s",
    )
    ours = statistics.median(latencies(report, "first_byte")) - statistics.median(latencies(report, "connect"))
    theirs = curl_waits_ms(planted, path, 15)
    expect(abs(ours / theirs - 1) < 0.05, f"first byte after {ours:.1f} ms, curl says {theirs:.1f} ms")
    return f"first byte {ours:.1f} ms after the connection, curl {theirs:.1f} ms"


@check
def the_load_tester_agrees_with_curl_over_an_emulated_link(world):
    need_links()
    planted = Planted(world, "beside-curl-far")
    link, path = "rtt=60ms,rate=50mbit", "size=64k/song"
    report, _ = measure(
        world, "--url", planted.url(path), "--ca", planted.ca, "--protocol", "h1", "--starts-only",
        "--arrivals", "even:5", "--for", "4s", "--link", link,
    )
    ours = statistics.median(latencies(report, "first_byte"))
    script = (
        f'for i in 1 2 3 4 5 6 7; do curl -s -o /dev/null --http1.1 -k -w "%{{time_starttransfer}}\\n" '
        f'"https://$NEEDLEDROP_SERVER:{planted.tls}/{path}"; done'
    )
    _, out, _ = run([loadtest(world), "link", "run", "--link", link, "--", "sh", "-c", script])
    times = [float(word) for word in out.decode().split() if word.replace(".", "", 1).isdigit()]
    expect(len(times) == 7, f"curl said {out.decode()[-300:]}")
    theirs = statistics.median(times) * SECOND_MS
    # TCP, TLS and the request: three round trips at least.
    expect(ours >= 180, f"{ours:.1f} ms is less than three round trips")
    expect(abs(ours / theirs - 1) < 0.05, f"first byte {ours:.1f} ms, curl says {theirs:.1f} ms")
    return f"first byte {ours:.1f} ms, curl {theirs:.1f} ms, three round trips of 60 ms"


@check
def the_load_tester_agrees_with_h2load(world):
    planted = Planted(world, "beside-h2load")
    path = "delay=50ms/size=64k/song"
    report, _ = measure(
        world, "--url", planted.url(path), "--ca", planted.ca, "--protocol", "h2", "--open", "warm", "--starts-only",
        "--arrivals", "even:20", "--for", "3s",
    )
    ours = statistics.mean(latencies(report, "first_64k", opening="warm"))
    _, out, _ = run(["h2load", "-n", "60", "-c", "2", "-m", "1", planted.url(path)])
    row = next(line for line in out.decode().splitlines() if line.startswith("time for request"))
    # min, max, mean, sd, share within one deviation
    theirs = milliseconds(row.split(":")[1].split()[2])
    expect(abs(ours / theirs - 1) < 0.05, f"64 KiB after {ours:.1f} ms, h2load says {theirs:.1f} ms")
    return f"64 KiB after {ours:.1f} ms, h2load {theirs:.1f} ms"


def milliseconds(text):
    for unit, factor in (("us", 0.001), ("ms", 1), ("s", 1000)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    raise ValueError(text)


@check
def an_emulated_link_is_what_was_asked_for(world):
    need_links()
    command = [loadtest(world), "link", "test", "--quick", "--json", "--link", "rtt=40ms,rate=20mbit,loss=1%"]
    _, out, _ = run(command, timeout=100, check_exit=False)
    # The last percent of the round trips and the emulator's lateness tell how busy the machine is, not what the line is.
    rows = [row for row in json.loads(out)[0]["rows"] if "p99" not in row["what"] and "late" not in row["what"]]
    expect(len(rows) >= 8, f"only {[row['what'] for row in rows]}")
    for row in rows:
        least, most = row.get("least"), row.get("most")
        fits = (least is None or row["measured"] >= least) and (most is None or row["measured"] <= most)
        expect(fits, f"{row['what']} {row['measured']} {row['unit']}, not {least} to {most}")
    measured = {row["what"]: row["measured"] for row in rows}
    return f"round trip {measured['round trip p50']:.1f} ms, rate {measured['rate down']:.1f} Mbit/s, loss {measured['loss down']:.1f} %"


@check
def a_crowd_taps_through_the_gateway_and_hears_music_on_every_protocol(world):
    up = world.up()
    report, text = measure(
        world, "--gateway", f"https://localhost:{up.tls_port}", "--ca", up.ca, "--protocol", "h1,h2,h3",
        "--arrivals", "even:8", "--for", "4s", "--speed", "10", "--fail-if", "errors>0",
    )
    expect(not troubles(report), f"{troubles(report)} {report['tally']['examples']}")
    for protocol in ("h1", "h2", "h3"):
        urls = latencies(report, "url", protocol=protocol)
        sounds = latencies(report, "first_audio", protocol=protocol)
        expect(urls and sounds, f"nothing was heard over {protocol}: {text}")
    drop = statistics.median(latencies(report, "first_audio", why="tap"))
    nexts = latencies(report, "first_audio", why="next") + latencies(report, "first_audio", why="skip")
    expect(nexts, "nobody went on to another track")
    return f"{report['tally']['starts']} starts, needle drop {drop:.1f} ms"


@check
def a_crowd_signs_for_itself_and_checks_every_byte(world):
    need_links()
    up = world.up()
    vault = up.data / "vault"
    paths = sorted(str(file.relative_to(vault)) for file in vault.glob("tracks/*/*/160.ogg"))
    listed = world.scratch / "loadtest-paths"
    listed.write_text("".join(f"/{path} seconds=60\n" for path in paths))
    report, _ = measure(
        world, "--edge", f"https://localhost:{up.tls_port}", "--keys", up.data / "keys.toml", "--paths", listed,
        "--ca", up.ca, "--verify", vault, "--arrivals", "even:5", "--for", "4s", "--speed", "30", "--no-skips",
        "--link", "rtt=20ms,rate=100mbit",
    )
    tally = report["tally"]
    expect(not troubles(report), f"{troubles(report)} {tally['examples']}")
    expect(tally["checked_bytes"] == tally["bytes"] > 1_000_000, f"{tally['checked_bytes']} of {tally['bytes']} checked")
    taps = latencies(report, "first_byte", why="tap", opening="full")
    expect(taps and taps[0] >= 60, f"a first byte after {taps[:1]} ms is less than three round trips")
    return f"{tally['bytes'] >> 20} MiB checked"


@check
def a_threshold_that_is_not_met_fails_the_run_and_says_so(world):
    planted = Planted(world, "thresholds")
    common = ["--url", planted.url("delay=30ms/size=64k/song"), "--ca", planted.ca, "--starts-only", "--for", "1s"]
    _, text = measure(world, *common, "--fail-if", "first_byte.p50>10ms", exit_code=1)
    expect("first_byte.p50>10ms" in text, text[-300:])
    measure(world, *common, "--fail-if", "first_byte.p50>10s", "--fail-if", "errors>0")
    # Generated bytes do not sound: what was not measured cannot pass.
    measure(world, *common, "--fail-if", "start.p99>200ms", exit_code=1)
    code, _, said = run([loadtest(world), "run", "--fail-if", "start>fast", *common], check_exit=False)
    expect(code == 2 and b"start" in said, f"{code} {said[-200:]}")


@check
def two_agents_play_one_crowd(world):
    planted = Planted(world, "several")
    token = planted.folder / "token"
    token.write_text("a secret of both sides, long enough")
    os.chmod(token, 0o600)
    agents = []
    for number in range(2):
        address = f"127.0.0.1:{free_port()}"
        agent = Server([loadtest(world), "agent", "--listen", address, "--token-file", token], planted.folder / f"agent-{number}")
        world.servers.append(agent)
        agent.wait_for(int(address.rpartition(":")[2]))
        agents.append(address)
    report, _ = measure(
        world, "--url", planted.url("delay=20ms/size=64k/song"), "--ca", planted.ca, "--starts-only",
        "--arrivals", "even:20", "--for", "2s", "--agents", ",".join(agents), "--token-file", token,
    )
    expect(report["tally"]["starts"] == 39 and not troubles(report), f"{report['tally']['starts']} {troubles(report)}")
    expect(len(report["generators"]) == 2 and not report["missing"], f"{report['generators']}")
    return f"{len(latencies(report, 'first_byte'))} starts by two"


@check
def the_report_is_a_page_for_a_phone_that_asks_nobody_for_anything(world):
    up = world.up()
    page = world.scratch / "loadtest.html"
    report, _ = measure(
        world, "--gateway", f"https://localhost:{up.tls_port}", "--ca", up.ca, "--protocol", "h2,h3",
        "--arrivals", "even:8", "--for", "3s", "--html", page,
    )
    other = world.scratch / "loadtest-other.json"
    other.write_text(json.dumps(report))
    comparison = world.scratch / "loadtest-compare.html"
    run([loadtest(world), "compare", world.scratch / "loadtest.json", other, "--html", comparison])
    notes = []
    for name, file in (("report", page), ("compare", comparison)):
        env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules, SHOTS=world.scratch, PAGE=file, NAME=name)
        _, out, _ = run(["node", SCRIPT], env=env, timeout=120)
        said = json.loads(out.decode().strip().splitlines()[-1])
        expect(not said.get("failure"), said.get("failure"))
        expect(not said["errors"] and not said["requests"], f"{said}")
        expect(said["wide"] <= 360, f"{name} is {said['wide']} px wide on a phone")
        expect(said["plots"] >= 1 and said["headings"] >= 3, f"{said}")
        notes.append(f"{name}: {said['plots']} plots")
    return ", ".join(notes)
