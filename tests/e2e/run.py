"""End-to-end checks: real programs against a real needledrop, each check with a name that can fail.

Run by `cargo xtask e2e [NAME...]`. Prints `ok NAME` or `FAILED NAME: why` for each, and a count at the end.
The checks are the functions marked @check in the check_*.py files beside this one, in the order of ORDER.
"""

import argparse
import importlib
import pathlib
import shutil
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from harness import Skip, World, registered  # noqa: E402

# Files in order: what others build on comes first.
ORDER = ["cli", "ingest", "players", "protocols", "conformance", "lint", "hostile", "player", "clients", "podcasts", "security", "api", "accounts", "ops", "loadtest", "cache", "admin", "change", "faults"]
# Longest that one check may take.
LIMIT_S = 240


class TookTooLong(Exception):
    pass


def too_long(_signal, _frame):
    raise TookTooLong(f"took longer than {LIMIT_S} s")


def run_one(name, act, world):
    began = time.monotonic()
    signal.alarm(LIMIT_S)
    try:
        note = act(world)
    except Skip as reason:
        print(f"SKIPPED {name}: {reason}", flush=True)
        return True
    except Exception as error:  # every failure is reported and the next check runs
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:600] or type(error).__name__
        print(f"FAILED {name}: {text} [{pathlib.Path(where.filename).name}:{where.lineno}]", flush=True)
        return False
    finally:
        signal.alarm(0)
    tail = f": {note}" if note else ""
    print(f"ok {name} ({time.monotonic() - began:.1f} s){tail}", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--node-modules", required=True, type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="run only checks whose name contains one of these")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    for part in ORDER:
        importlib.import_module(f"check_{part}")
    wanted = [(n, f) for n, f in registered if not args.names or any(w in n for w in args.names)]
    world = World(args.binary.resolve(), args.scratch.resolve(), args.node_modules.resolve())
    passed = 0
    try:
        for name, act in wanted:
            passed += run_one(name, act, world)
    finally:
        world.close()
    print(f"e2e: {passed} of {len(wanted)} checks passed", flush=True)
    sys.exit(0 if passed == len(wanted) and wanted else 1)


main()
