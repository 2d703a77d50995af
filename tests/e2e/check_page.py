"""The page in a real browser: one click plays, a seek plays, nothing is asked of anyone else."""

import json
import pathlib

from harness import check, environment, expect, run

SCRIPT = pathlib.Path(__file__).parent / "page.mjs"


def browse(world, scenario, **more):
    shots = world.scratch / "page"
    shots.mkdir(exist_ok=True)
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules, SHOTS=shots, SCENARIO=scenario, **more)
    _, out, _ = run(["node", SCRIPT], env=env, timeout=150)
    said = json.loads(out.decode().strip().splitlines()[-1])
    expect(not said.get("failure"), said.get("failure"))
    return said


@check
def a_click_in_chromium_plays_and_a_seek_plays_on(world):
    up = world.up()
    said = browse(world, "play", BASE=f"http://localhost:{up.port}")
    expect(said["rows"] == 6, f"{said['rows']} rows")
    expect(said["codec"], "no rendition is shown")
    expect(0 < said["drop_ms"] < 5000, f"needle drop of {said['drop_ms']} ms")
    expect(said["moved"] > 0.5, f"the time moved by {said['moved']} s")
    expect(abs(said["after_seek"] - said["middle"]) < 6 and said["after_seek"] > said["middle"], f"{said}")
    expect(said["seek_requests"] <= 1, f"the seek took {said['seek_requests']} requests")
    expect(not said["errors"], f"console: {said['errors']}")
    expect(not said["outside"], f"asked elsewhere: {said['outside']}")
    return f"needle drop {said['drop_ms']} ms, seek {said['seek_ms']} ms with {said['seek_requests']} request, {said['about']}"


@check
def a_seek_on_a_slow_line_costs_one_request(world):
    up = world.up()
    said = browse(world, "slow", BASE=f"http://localhost:{up.port}")
    expect(1 <= len(said["ranges"]) <= 2, f"two seeks took {said['ranges']}")
    return f"needle drop {said['drop_ms']} ms, two seeks: {said['waits']} ms, {said['ranges']}"


@check
def the_page_works_by_keyboard_and_on_a_phone(world):
    up = world.up()
    said = browse(world, "keyboard", BASE=f"http://localhost:{up.port}")
    expect(said["played_by_enter"] and said["paused_by_space"] and said["resumed_by_space"], f"{said}")
    expect(said["jumped"] > 4, f"the right arrow moved by {said['jumped']} s")
    expect(said["next_title"] != said["first_title"], "the n key stays on the track")
    expect(not said["overflow"], "the page is wider than a phone")
    expect(not said["errors"], f"console: {said['errors']}")


@check
def the_page_renews_an_expired_url_and_goes_on_at_the_same_second(world):
    up = world.up()
    said = browse(world, "expiry", BASE=f"http://localhost:{up.port}")
    expect(said["grants"] >= 2, f"{said}")
    expect(abs(said["after"] - said["before"]) < 8, f"{said}")


@check
def the_page_says_in_words_what_went_wrong(world):
    up = world.up()
    said = browse(world, "refusal", BASE=f"http://localhost:{up.port}")
    expect("The keys are on holiday" in said["notice"], f"{said}")
