"""Reads core/cases/http.tsv and judges answers by it. The file explains its own form."""

import pathlib
import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

TABLE = pathlib.Path(__file__).parents[2] / "core/cases/http.tsv"


class Object:
    def __init__(self, name, size, etag, modified, kind):
        self.name, self.size, self.kind = name, int(size), kind
        self.etag = None if etag == "-" else etag
        self.modified = None if modified == "-" else modified

    def bytes(self):
        return bytes((i * 7 + (i // 256) * 13 + (i // 65536) * 101) % 256 for i in range(self.size))


def table():
    """(objects by name, cases as dicts)."""
    objects, cases, columns = {}, [], None
    for line in TABLE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if cells[0] == "@object":
            objects[cells[1]] = Object(*cells[1:])
        elif columns is None:
            columns = cells
        else:
            cases.append(dict(zip(columns, cells)))
    return objects, cases


def moment(text):
    return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=timezone.utc)


def fill(text, one, objects):
    """Puts the object's validators into the placeholders."""
    modified = one.modified or objects["tone"].modified
    at = moment(modified)

    def put(match):
        name = match.group(1)
        if name == "etag":
            return one.etag or ""
        if name == "lm:rfc850":
            return at.strftime("%A, %d-%b-%y %H:%M:%S GMT")
        if name == "lm:asctime":
            return at.strftime("%a %b ") + f"{at.day:2d}" + at.strftime(" %H:%M:%S %Y")
        shift = int(name[2:]) if len(name) > 2 else 0
        return format_datetime(at + timedelta(seconds=shift), usegmt=True)

    return re.sub(r"\{(etag|lm(?::rfc850|:asctime|[+-]\d+)?)\}", put, text).replace("\\t", "\t")


def request_fields(case, one, objects):
    if case["request"] == "-":
        return []
    pairs = (field.split(":", 1) for field in case["request"].split("|"))
    return [(name, fill(value[1:] if value.startswith(" ") else value, one, objects)) for name, value in pairs]


def judge(case, one, objects, data, answer):
    """None, or what is wrong with the answer."""
    status, fields, body = answer
    if status != int(case["status"]):
        return f"status {status}, not {case['status']}"
    got = {}
    for name, value in fields:
        got.setdefault(name.lower(), value)
    for field in filter(None, case["expected"].split("|") if case["expected"] != "-" else []):
        name, wanted = field.split(": ", 1) if ": " in field else field.split(":", 1)
        have, wanted = got.get(name.lower()), fill(wanted, one, objects)
        if wanted == "!":
            if have is not None:
                return f"{name}: {have}, should be absent"
        elif have is None:
            return f"no {name}, should be {wanted}"
        elif not (have.startswith(wanted[:-1]) if wanted.endswith("*") else have == wanted):
            return f"{name}: {have}, should be {wanted}"
    return judge_body(case["body"], data, got, body)


def judge_body(wanted, data, got, body):
    if wanted in ("full", "empty"):
        should = data if wanted == "full" else b""
        return None if body == should else f"body of {len(body)} bytes, should be {len(should)}"
    if not wanted.startswith("parts"):
        first, last = map(int, wanted.split("-"))
        return None if body == data[first:last + 1] else f"body of {len(body)} bytes is not {wanted}"
    ranges = [tuple(map(int, part.split("-"))) for part in re.findall(r"\d+-\d+", wanted)]
    return judge_parts(ranges, data, got, body)


def judge_parts(ranges, data, got, body):
    found = re.fullmatch(r'multipart/byteranges; ?boundary="?([^"]+)"?', got.get("content-type", ""))
    if not found:
        return f"Content-Type {got.get('content-type')}"
    pieces = re.split(rb"\r?\n?--" + re.escape(found.group(1).encode()) + rb"(?:--)?\r\n", b"\r\n" + body)
    pieces = [p for p in pieces if p.strip(b"\r\n")]
    if len(pieces) != len(ranges):
        return f"{len(pieces)} parts, should be {len(ranges)}"
    for (first, last), piece in zip(ranges, pieces):
        head, content = piece.split(b"\r\n\r\n", 1)
        if f"bytes {first}-{last}/{len(data)}".encode() not in head:
            return f"part {first}-{last} says {head!r}"
        if content != data[first:last + 1]:
            return f"part {first}-{last} has other bytes"
    return None
