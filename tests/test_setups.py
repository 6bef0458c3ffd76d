#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/setups.md names the tests of each row: they exist, and none that was written for it is missing there."""

import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
TESTS = SOURCE / "tests/integration"
NAME = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def rows(text):
    """The cells of each row of each table, without headings."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and not set(cells[0]) <= set("-:") and cells[-1] != "tests":
            found.append(cells)
    return found


def functions(path):
    return set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M)) if path.exists() else set()


def unknown(text):
    """What the rows name and is not there, and rows that name nothing."""
    found = []
    for cells in rows(text):
        names = NAME.findall(cells[-1])
        if not names or re.sub(NAME, "", cells[-1]).strip(" ,"):
            found.append(f"no test: {cells[0]}")
        found += [f"{file}::{name}" for file, name in names if name not in functions(TESTS / file)]
    return found


class Setups(unittest.TestCase):
    def test_each_row_has_its_tests(self):
        text = (SOURCE / "docs/setups.md").read_text(encoding="utf-8")
        self.assertEqual(unknown(text), [])
        self.assertGreaterEqual(len(rows(text)), 50)
        named = set(NAME.findall(text))
        written = {(path.name, name) for path in TESTS.glob("test_setups_*.py") for name in functions(path)}
        self.assertEqual(written - named, set())
        self.assertGreaterEqual(len(written), 40)

    def test_what_it_finds(self):
        text = ("| set-up | class | tests |\n|---|---|---|\n| a | b | `test_setups_hub.py::test_hub` |\n"
                "| c | d | `test_setups_hub.py::test_no_such` |\n| e | f | |\n| g | h | `test_hub` |\n")
        self.assertEqual(unknown(text), ["test_setups_hub.py::test_no_such", "no test: e", "no test: g"])


if __name__ == "__main__":
    unittest.main()
