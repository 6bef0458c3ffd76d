# SPDX-License-Identifier: BSD-3-Clause
"""A pytest plugin that writes each test's result to the console as a line that tests/report.py understands."""


def pytest_runtest_logreport(report):
    name = report.nodeid.rpartition("/")[2]
    if report.failed:
        message = str(report.longrepr).strip().splitlines()[-1] if report.longrepr else report.when
        print(f"\nnetlogd-vm: not ok {name.replace(':', '.')}: {message}", flush=True)
    elif report.skipped:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        print(f"\nnetlogd-vm: skip {name.replace(':', '.')}: {reason}", flush=True)
    elif report.when == "call":
        print(f"\nnetlogd-vm: ok {name.replace(':', '.')}", flush=True)
