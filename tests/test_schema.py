#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The events of text messages are the same in the program, the message's JSON Schema and the manual."""

import json
import pathlib
import re
import unittest

import jsonschema

SOURCE = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = json.loads((SOURCE / "packaging/schema/message.schema.json").read_text())
DEFINITIONS = SCHEMA["$defs"]


def events_of_program():
    """The types in the header that lists them, each with its members where these are named; see there."""
    header = (SOURCE / "daemon/logger/events.h").read_text()
    return re.findall(r'#define\s+EVENT_[A-Z_]+[\s\\]+"([a-z-]+)"', header)


def target(reference):
    return DEFINITIONS[reference["$ref"].removeprefix("#/$defs/")]


def events_of_schema():
    return {name["properties"]["type"]["const"]: name for name in map(target, DEFINITIONS["event"]["oneOf"])}


def members(definition):
    """Of an event, without those that it shares with others."""
    return set(definition["properties"]) - {"type"}


def pages_events():
    """What netlogd(8) says: by type, the members that it names; those of peers, under None."""
    page = (SOURCE / "packaging/man/netlogd.8").read_text()
    text = re.search(r"^\.Ss Events\n(.*?)^\.Ss ", page, re.M | re.S)[1]
    table, rest = re.search(r"^\.Bl [^\n]*\n(.*?)^\.El\n(.*)", text, re.M | re.S).groups()
    found = {}
    for item in re.split(r"^\.It Cm ", table, flags=re.M)[1:]:
        name, _, body = item.partition("\n")
        found[name] = words(body)
    found[None] = words(rest)
    return found


def words(text):
    """What is marked as a word of the program's."""
    found = set()
    for line in re.findall(r"^\.(?:Pq )?Cm (.*)$", text, re.M):
        found |= set(re.findall(r"\b(?!Pq\b|Cm\b)[A-Za-z]+\b", line))
    return found


class Events(unittest.TestCase):
    def test_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_all_are_in_the_schema(self):
        self.assertGreater(len(events_of_program()), 10)
        self.assertEqual(sorted(events_of_program()), sorted(events_of_schema()))

    def test_all_are_in_the_manual(self):
        self.assertEqual(set(events_of_program()), set(pages_events()) - {None})

    def test_members_in_the_manual(self):
        told = pages_events()
        for name, definition in events_of_schema().items():
            expected = members(definition)
            if definition.get("$ref") == "#/$defs/device":
                expected |= members(DEFINITIONS["device"])
            if name == "started":
                expected |= members(DEFINITIONS["device"])
            self.assertEqual(told[name], expected, name)
        self.assertEqual(told[None], members(DEFINITIONS["peer"]) | {"device", "target"})

    def test_every_object_is_closed(self):
        """What the program writes has to be described, or the tests that validate it would say nothing."""
        def look(place, node):
            if isinstance(node, list):
                for item in node:
                    look(place, item)
            if not isinstance(node, dict):
                return
            if "properties" in node and place not in ("device", "peer", "event", "logtail"):
                self.assertTrue(node.get("additionalProperties") is False or node.get("unevaluatedProperties") is False,
                                f"{place}: {list(node['properties'])}")
            for key, value in node.items():
                look(key if place == "$defs" else place, value)
        for name, definition in DEFINITIONS.items():
            look(name, definition)
        self.assertFalse(DEFINITIONS["logtail"]["additionalProperties"])


if __name__ == "__main__":
    unittest.main()
