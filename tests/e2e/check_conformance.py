"""The wire, by clients that can say anything: HTTP/2 in frames, HTTP/3 and QUIC by another stack. See conformance/."""

import random

from check_protocols import LoneEdge
from conformance import datagrams, frames, h2_conditions, h3_conditions, quic_conditions
from harness import check, expect

# Larger than the windows that clients begin with.
OBJECT_BYTES = 300_000
PATH = "/music/conformance.ogg"


def edge_with_object(world, name):
    data = random.Random(1).randbytes(OBJECT_BYTES)
    fields = {"ETag": '"conform"', "Content-Type": "audio/ogg", "Cache-Control": "max-age=3600"}
    return LoneEdge(world, name, {PATH: (data, fields)})


def judge(table, open_peer):
    wrong, known = table.judge(open_peer)
    for line in known + wrong:
        print(f"    {line}", flush=True)
    expect(not wrong, f"{len(wrong)} of {len(table.rows)} conditions are not met, the first: {wrong[:1]}")
    return f"{len(table.rows) - len(known)} of {len(table.rows)} conditions"


@check
def conditions_of_http2_are_met(world):
    edge = edge_with_object(world, "conformance-h2")
    try:
        target = edge.sign(PATH)
        return judge(h2_conditions.table, lambda **opening: frames.Peer(edge.tls_port, edge.ca, target, **opening))
    finally:
        edge.close()


@check
def conditions_of_http3_are_met(world):
    return over_quic(world, h3_conditions.table, "conformance-h3")


@check
def conditions_of_quic_are_met(world):
    return over_quic(world, quic_conditions.table, "conformance-quic")


def over_quic(world, table, name):
    edge = edge_with_object(world, name)
    try:
        target = edge.sign(PATH)
        # Once filled, it is there at once.
        warm = datagrams.Peer(edge.tls_port, edge.ca, target)
        warm.answered(0, ())
        warm.close()
        return judge(table, lambda **opening: datagrams.Peer(edge.tls_port, edge.ca, target, **opening))
    finally:
        edge.close()
