#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""No "1 messages": a number in a text is followed by plural() (common/plural.h), not by a plural."""

import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
NOUNS = ("messages|bytes|packets|segments|parts|sinks|times|files|peers|routes|nodes|connections|flows|clients|frames|"
         "windows|entries|batches|rows|datagrams|lines|prefixes|addresses|interfaces|tunnels|devices|seconds|events|nexthops")
NUMBER = re.compile(rf"%(?:zu|zd|l?l?u|l?l?d) \(?(?:[a-z]+ )?(?:{NOUNS})\b[^\"]*")
# Their numbers are never one.
ALWAYS_MANY = {"%d messages refused in a row: ", "%d bytes",
               "%u with messages after %u not accounted for: this is a bug in netlogd", "%u times for the same %u %s: sending half as many"}


def findings(text):
    """Formats with a number before a plural; literals that stand side by side are one."""
    text = re.sub(r"(?:/\*.*?\*/|//[^\n]*)", "", text, flags=re.S)
    by_hand = re.findall(r'\? "" : "s"', text)
    text = re.sub(r'"\s*PRI([ud])64\s*"', r"\1", text)
    text = re.sub(r'(?<!\\)"\s*"', "", text)
    return [match for match in NUMBER.findall(text) if match not in ALWAYS_MANY] + by_hand


class Plurals(unittest.TestCase):
    def test_sources(self):
        found = [f"{path.relative_to(SOURCE)}: {finding}" for root in ("common", "control", "daemon")
                 for path in sorted((SOURCE / root).rglob("*.[ch]")) for finding in findings(path.read_text())]
        self.assertEqual(found, [])

    def test_what_it_finds(self):
        self.assertEqual(findings('log("%" PRIu64 " more "\n\t"messages")'), ["%u more messages"])
        self.assertEqual(findings('f("%llu messages (%s)")'), ["%llu messages (%s)"])
        self.assertEqual(findings('f("%zu %s", n, plural(n, "node", "nodes"))'), [])
        self.assertEqual(findings('/* "%u nodes" */ f("%u node%s", n == 1 ? "" : "s")'), ['? "" : "s"'])


if __name__ == "__main__":
    unittest.main()
