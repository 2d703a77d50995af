"""Where the CPU of our server goes while it serves hits over one protocol: sampled by perf, by kind of work and by symbol.

Run by `cargo xtask profile h1|h2|h3`, on a release build; the load tester asks as fast as it gets answers.
"""

import argparse
import pathlib
import random
import re
import shutil
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import harness  # noqa: E402
from check_protocols import LoneEdge  # noqa: E402
from clients import h1  # noqa: E402

PATH = "/music/profiled.ogg"
OBJECT_BYTES = 8 << 20
LISTENERS = 16
# Listeners ask ahead of what they would need in hours, so that an answer is followed by the next request at once.
SPEED = 5000

# What a symbol is about, by the first pattern that fits: kind and pattern.
KINDS = [
    ("kernel: copies", r"^\[k\] .*(copy|memcpy|memmove|clear_page|rep_movs)"),
    ("kernel: UDP and IP", r"^\[k\] .*(udp|gso|skb_segment)"),
    ("kernel: TCP and IP", r"^\[k\] .*(tcp|skb|ip_|inet|nf_|__dev|net_|sock|napi|loopback)"),
    ("kernel: the rest", r"^\[k\]"),
    ("encryption", r"aws_lc|aesni|aes_|gcm|ghash|chacha|poly1305|sha256|sha512|ecp_|p256|x25519|mlkem|^\[\.\] (bn_|EVP_|CRYPTO_)"),
    ("TLS records", r"rustls"),
    ("QUIC", r"quinn"),
    ("HTTP/3", r"\bh3::|\bh3\b|qpack"),
    ("HTTP/2", r"\bh2::"),
    ("HTTP/1.1", r"\bhyper|httparse"),
    ("the doors", r"needledrop_http"),
    ("the edge and its rules", r"needledrop_(edge|core)|needledrop::"),
    ("checksums, tables, signatures", r"twox|hashbrown|hmac|sha2|base64ct"),
    ("memory and copies", r"memcpy|memmove|memset|\bmi_|malloc|alloc::|free\b|bytes::"),
    ("the reactor", r"tokio|mio::|epoll|futures|parking_lot"),
]


def kind_of(symbol):
    return next((kind for kind, pattern in KINDS if re.search(pattern, symbol)), "other")


def crate_of(symbol):
    """The crate that a Rust symbol comes from; what is not Rust is named by its object."""
    found = re.search(r"(?:^\[.\] |<|as |dyn |&|mut |\()*([a-z_][a-z0-9_]*)::", symbol)
    return found.group(1) if found else None


def samples(data):
    """(share, object, symbol) of each line of perf's report."""
    _, out, _ = harness.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "--sort", "dso,symbol", "-w", "0,0"], timeout=300)
    for line in out.decode(errors="replace").splitlines():
        fields = re.match(r"\s*([\d.]+)%\s+(\S+)\s+(\[.\] .*?)\s*(?:-\s*-)?\s*$", line)
        if fields:
            yield float(fields.group(1)), fields.group(2), fields.group(3).rstrip()


def table(title, shares, most):
    print(f"\n| {title} | share of CPU |\n|---|---|")
    for name, share in sorted(shares.items(), key=lambda item: -item[1])[:most]:
        print(f"| {name} | {share:.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=65536, help="bytes of one request")
    parser.add_argument("protocol", choices=["h1", "h2", "h3"])
    args = parser.parse_args()
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    world = harness.World(args.binary.resolve(), args.scratch.resolve(), None)
    fields = {"ETag": '"profiled"', "Content-Type": "audio/ogg", "Cache-Control": "max-age=86400"}
    try:
        edge = LoneEdge(world, "profiled", {PATH: (random.Random(1).randbytes(OBJECT_BYTES), fields)})
        target = edge.sign(PATH)
        connection = h1.Connection(edge.port)
        harness.expect(connection.request("GET", target, [])[0] == 200, "the object is not served")
        connection.close()
        listed = args.scratch / "urls"
        listed.write_text(f"https://localhost:{edge.tls_port}{target} seconds=400\n")
        crowd = harness.Server(
            [world.binary.with_name("needledrop-loadtest"), "run", "--quiet", "--urls", listed, "--ca", edge.ca,
             "--protocol", args.protocol, "--arrivals", f"even:{LISTENERS}", "--for", f"{args.seconds + 6}s",
             "--listeners-max", LISTENERS, "--speed", SPEED, "--chunk", args.chunk, "--no-skips", "--seeks", "0", "--grace", "1s"],
            args.scratch / "crowd.log",
        )
        world.servers.append(crowd)
        time.sleep(3)
        data = args.scratch / "perf.data"
        # The clock of the CPU works on machines that lend no counters.
        harness.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-p", edge.server.process.pid, "-o", data, "--", "sleep", args.seconds], timeout=args.seconds + 60)
        crowd.stop()
        edge.close()
    finally:
        world.close()
    kinds, crates, symbols, count = {}, {}, {}, 0
    for share, where, symbol in samples(data):
        count += 1
        origin = "kernel" if symbol.startswith("[k]") else crate_of(symbol) or where
        kinds[kind_of(symbol)] = kinds.get(kind_of(symbol), 0) + share
        crates[origin] = crates.get(origin, 0) + share
        name = re.sub(r"::h[0-9a-f]{16}$", "", symbol[4:])
        name = f"{'kernel: ' if symbol.startswith('[k]') else ''}`{name[:110]}`"
        symbols[name] = symbols.get(name, 0) + share
    harness.expect(count > 20, f"perf saw {count} symbols; see {args.scratch}")
    print(f"\n{args.protocol}, ranges of {args.chunk // 1024} KiB from the cache, {LISTENERS} listeners, {args.seconds} s")
    table("kind of work", kinds, 20)
    table("crate", crates, 15)
    table("symbol", symbols, 25)


main()
