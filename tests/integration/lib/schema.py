# SPDX-License-Identifier: BSD-3-Clause
"""Whether messages are as packaging/schema/message.schema.json describes them.

Every message that a test's daemon has stored is looked at. Of traffic, one of each kind is validated: most messages
and entries differ only in their numbers, and the validator takes a millisecond for a few of them.
"""
import json
import subprocess
from pathlib import Path

import jsonschema

from .daemon import program
from .process import dies_with_us

PATH = Path(__file__).resolve().parents[3] / "packaging/schema/message.schema.json"
SCHEMA = json.loads(PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# Of one daemon's spool. Tests of large windows make gigabytes.
BYTES_MAX = 64 << 20


def errors(message):
    """What is wrong with a message, as texts."""
    found = []
    for error in VALIDATOR.iter_errors(message):
        best = jsonschema.exceptions.best_match([error])
        found.append(f"{'/'.join(map(str, best.absolute_path)) or 'message'}: {best.message}")
    return found


def kind_of_entry(entry):
    """Entries of a kind have the same members, and addresses and flags that look alike."""
    return (*entry, entry.get("src", "")[:1] == "[", entry.get("dst", "")[:1] == "[", entry.get("src") == "", entry.get("dst") == "",
            entry.get("init"), entry.get("dropReason"))


def reduced(message):
    """The message with one entry of each kind in its lists."""
    if "text" in message:
        return message
    made = {}
    for name, value in message.items():
        if isinstance(value, list) and name.endswith("Traffic"):
            made[name] = list({kind_of_entry(entry): entry for entry in value if isinstance(entry, dict)}.values())
            # What is no entry is left for the validator to refuse.
            made[name] += [entry for entry in value if not isinstance(entry, dict)][:1]
        else:
            made[name] = value
    return made


def kind(message):
    """Messages of a kind differ only in numbers and names."""
    if "text" in message:
        return None
    return tuple((name, tuple(map(kind_of_entry, value)) if name.endswith("Traffic") else
                  tuple(map(tuple, value)) if isinstance(value, list) else tuple(value) if isinstance(value, dict) else None)
                 for name, value in message.items())


class Checker:
    """Validates messages; those of a kind that it knows are skipped."""

    def __init__(self):
        self.known = set()
        self.seen = 0
        self.wrong = []

    def take(self, message):
        # Those of spool_fill.c are made larger by a member of its own.
        if "filler" in message:
            return
        self.seen += 1
        short = reduced(message)
        of_kind = kind(short)
        if of_kind is not None and of_kind in self.known:
            return
        self.known.add(of_kind)
        self.wrong += [f"{error} in {json.dumps(short)[:2000]}" for error in errors(short)]

    def take_spool(self, directory):
        """All that a spool holds, whatever is damaged in it."""
        command = dies_with_us([program("netlogctl"), "spool", "export", str(directory)])
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as export:
            taken = 0
            for line in export.stdout:
                self.take(json.loads(line))
                taken += len(line)
                if taken > BYTES_MAX:
                    break
            export.stdout.close()

    def take_received(self, collector):
        """The messages that a collector has accepted, reports of losses among them."""
        for message in collector.messages if collector.keep else []:
            if isinstance(message, dict) and "logtail" in message:
                self.take(message)

    def check(self):
        """Fails if anything was wrong since the last call."""
        wrong, self.wrong = self.wrong, []
        assert wrong == [], "not as packaging/schema/message.schema.json says:\n" + "\n".join(wrong)
