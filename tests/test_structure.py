#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The check of the folders finds what it is there to find."""

import os
import pathlib
import tempfile
import unittest

import structure

TABLE = """
| folder | what lives there | who calls it | may use |
|---|---|---|---|
| `common/` | all | all | |
| `daemon/low/` | low | high | `common` |
| `daemon/high/` | high | | `daemon/low` |
| `tests/` | not a source | | |
"""


class Table(unittest.TestCase):
    def test_rows(self):
        self.assertEqual(structure.read_table(TABLE),
                         {"common": [], "daemon/low": ["common"], "daemon/high": ["daemon/low"]})

    def test_what_is_below_is_below_all_above(self):
        self.assertEqual(structure.closure(structure.read_table(TABLE), "daemon/high"),
                         {"daemon/high", "daemon/low", "common"})

    def test_circle_of_folders(self):
        self.assertEqual(len(structure.check_table({"a": ["b"], "b": ["a"]})), 1)
        self.assertEqual(structure.check_table({"a": ["b"], "b": []}), [])

    def test_unknown_folder(self):
        self.assertEqual(structure.check_table({"a": ["b"]}), ["a/ names b/, which has no row"])


class Walk(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as root:
            pathlib.Path(root, "a.c").write_text("int there(void)\n{\n\treturn elsewhere();\n}\n")
            return structure.check_walk(text, pathlib.Path(root))

    def test_function_is_there(self):
        self.assertEqual(self.check("1. `a.c`, `there()`: does it.\n"), [])

    def test_function_is_only_called_there(self):
        self.assertEqual(self.check("1. `a.c`, `elsewhere()`: does it.\n"),
                         ["CONTRIBUTING.md: there is no elsewhere() in a.c"])

    def test_no_such_file(self):
        self.assertEqual(len(self.check("1. `b.c`, `there()`: does it.\n")), 1)

    def test_second_function_of_a_line(self):
        self.assertEqual(self.check("1. `a.c`, `there()`: calls\n   `elsewhere()`.\n2. `b.c`, `more()`.\n"),
                         ["CONTRIBUTING.md: there is no elsewhere() in a.c",
                          "CONTRIBUTING.md: there is no more() in b.c"])

    def test_no_walk(self):
        self.assertEqual(len(self.check("")), 1)


class Arrows(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                os.makedirs(path.parent, exist_ok=True)
                path.write_text(text)
            arrows = structure.include_arrows(pathlib.Path(root))
        return structure.check(structure.read_table(TABLE), arrows, "includes")

    def test_downwards(self):
        self.assertEqual(self.check({"daemon/high/a.c": '#include "daemon/high/a.h"\n#include "daemon/low/b.h"\n',
                                     "daemon/high/a.h": "", "daemon/low/b.h": '#include "common/c.h"\n'}), [])

    def test_upwards(self):
        self.assertEqual(self.check({"daemon/low/b.h": '#include "daemon/high/a.h"\n'}),
                         ["daemon/low/b includes daemon/high/a: daemon/low/ may not use that folder"])

    def test_circle_by_a_header(self):
        self.assertEqual(self.check({"common/a.c": '#include "common/b.h"\n', "common/b.h": '#include "common/a.h"\n'}),
                         ["a circle, each includes the next or another of it: common/a, common/b"])

    def test_longer_circle(self):
        self.assertEqual(structure.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}), [["a", "b", "c"]])

    def test_folder_without_a_row(self):
        self.assertEqual(self.check({"daemon/new/x.c": ""}), ["daemon/new/x: its folder has no row in CONTRIBUTING.md"])


if __name__ == "__main__":
    unittest.main()
