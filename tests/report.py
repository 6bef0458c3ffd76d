#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turns the results of meson, pytest and the virtual machines into one line per suite, and adds them up.

Apart from tests/run because results are JSON and XML, which a shell reads badly.

usage: report.py meson TALLY TESTLOG.JSON        one line per suite of a meson test run
       report.py pytest TALLY NAME JUNIT.XML     one line for one file of integration tests
       report.py vm TALLY NAME CONSOLE.TXT       one line for one virtual machine
       report.py total TALLY                     the last line; exit status 1 unless all passed

TALLY is a file to which every line's counts are appended. With CI=true in the environment a skipped test is a
failure, unless its reason says what the running kernel lacks ("kernel: ...", "this kernel has no ..."): anything else
works on the machines that CI runs on.
"""
import collections
import json
import os
import re
import sys
import xml.etree.ElementTree

CHECK_SUMMARY = re.compile(r"\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)")
KERNEL = re.compile(r"(skipped: )?(kernel: |this kernel has no )")
VM_RESULT = re.compile(r"^netlogd-vm: (ok|not ok|skip) ([^:\r\n]*)(?:: ([^\r\n]*))?\r?$", re.MULTILINE)


class Suite:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.reasons = collections.Counter()
        self.failures = []

    def skip(self, reason):
        reason = reason.strip() or "no reason given"
        if os.environ.get("CI") == "true" and not KERNEL.match(reason):
            self.failed += 1
            self.failures.append(f"skipped, which CI does not accept: {reason}")
        else:
            self.skipped += 1
            self.reasons[reason] += 1

    def fail(self, what, count=1):
        self.failed += count
        self.failures.append(what)


def meson_suites(path):
    suites = collections.defaultdict(Suite)
    with open(path, encoding="utf-8") as log:
        results = [json.loads(line) for line in log if line.strip()]
    for result in results:
        # "netlogd:common / address": project, suites, test
        names, _, test = result["name"].rpartition(" / ")
        suite = suites[names.rpartition(":")[2] or "other"]
        output = result.get("stdout", "")
        if result["result"] == "SKIP":
            lines = output.strip().splitlines()
            suite.skip(lines[-1] if lines else "")
            continue
        checks = failures = 0
        for match in CHECK_SUMMARY.finditer(output):
            checks += int(match[1])
            failures += int(match[2]) + int(match[3])
        if result["result"] in ("OK", "EXPECTEDFAIL"):
            suite.passed += max(checks, 1)
        else:
            suite.passed += max(checks - failures, 0)
            suite.fail(f"{test}: {result['result']}", max(failures, 1))
    return suites


def pytest_suite(path):
    suite = Suite()
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        suite.fail(f"pytest left no result: {error}")
        return suite
    for case in root.iter("testcase"):
        name = case.get("name", "?")
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            suite.fail(name)
        elif skipped is not None:
            suite.skip(skipped.get("message", ""))
        else:
            suite.passed += 1
    return suite


def vm_suite(path):
    suite = Suite()
    with open(path, encoding="utf-8", errors="replace") as console:
        text = console.read()
    for kind, name, reason in VM_RESULT.findall(text):
        if kind == "ok":
            suite.passed += 1
        elif kind == "skip":
            suite.skip(reason)
        else:
            suite.fail(f"{name}: {reason}")
    # An init that died half-way must not pass for one that ran everything.
    if "netlogd-vm: finished" not in text:
        suite.fail("the machine did not come to its end")
    return suite


def show(tally, name, suite):
    line = f"{name:<32} {suite.passed} passed, {suite.failed} failed, {suite.skipped} skipped"
    if suite.reasons:
        line += " (" + "; ".join(sorted(suite.reasons)) + ")"
    print(line, flush=True)
    for failure in suite.failures:
        print(f"    FAILED {failure}", flush=True)
    with open(tally, "a", encoding="utf-8") as out:
        out.write(f"{suite.passed} {suite.failed} {suite.skipped}\n")


def total(tally):
    passed = failed = skipped = 0
    if os.path.exists(tally):
        with open(tally, encoding="utf-8") as lines:
            for line in lines:
                counts = [int(word) for word in line.split()]
                passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "meson":
        for name, suite in sorted(meson_suites(arguments[2]).items()):
            show(arguments[1], f"unit/{name}", suite)
    elif len(arguments) == 4 and arguments[0] == "pytest":
        show(arguments[1], arguments[2], pytest_suite(arguments[3]))
    elif len(arguments) == 4 and arguments[0] == "vm":
        show(arguments[1], arguments[2], vm_suite(arguments[3]))
    elif len(arguments) == 2 and arguments[0] == "total":
        return total(arguments[1])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
