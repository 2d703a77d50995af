"""redbot on one URL: it fetches, asks again in other ways (ranges, validators, codings) and judges. Prints a line for each note.

A program of its own, since its loop is one for a whole process: `python bot.py URL [FIELD...]`, a field being `Name: value`.
"""

import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource


def main():
    config = ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"], descend=False)
    fields = [tuple(field.split(": ", 1)) for field in sys.argv[2:]]
    resource.set_request(sys.argv[1], headers=fields)
    resource.on("check_done", thor.stop)
    resource.check()
    thor.run()
    if not resource.response.complete:
        print("bad\tNotFetched\tthe answer did not come whole")
    for message in (resource.request, resource.response):
        for note in message.notes:
            for each in (note, *note.subnotes):
                print(f"{each.level.value}\t{type(each).__name__}\t{each.summary}")


main()
