# SPDX-License-Identifier: BSD-3-Clause
"""A ledger of what a VPN returned and what a collector received, so that no loss goes unnoticed."""
import re

from stats_provider import StatsProvider

LOSS = re.compile(r"netlogd: lost (\d+) messages? \((\d+) bytes?\)(?: from (\S+) to (\S+))?: (.*)")


class Numbered(StatsProvider):
    """Each extraction returns `width` connections that carry its number, so that each can be found again."""

    def __init__(self, path, width=1):
        super().__init__(path)
        self.width = width
        self.handed = 0
        self.throw_away = False

    def _answer(self, client, request):
        if request["method"].endswith("SetStatisticsEnabled") and request["parameters"]["enabled"]:
            self.throw_away = True  # the extraction that follows belongs to no window
        return super()._answer(client, request)

    def _extract(self, client, misbehave):
        if self.throw_away:
            self.throw_away = False
        else:
            number = self.handed + 1
            self.count([{"proto": 17, "src": "100.64.0.1:1", "dst": f"100.65.{number >> 8 & 255}.{number & 255}:{port}",
                         "txPkts": 1, "txBytes": number} for port in range(1, self.width + 1)])
            self.handed = number
        return super()._extract(client, misbehave)

    def sections(self):
        """The configuration of a daemon that reads this VPN."""
        return {"tun": {"source": "stats", "stats-socket": self.path}, "sock": {"source": "none"},
                "routes": {"mode": "static", "local-addr": "100.64.0.1", "route": "100.65.0.0/16"}}

    def numbers(self, messages):
        """The numbers in these messages. Asserts that each extraction is there at most once, and whole."""
        entries = {}
        for message in messages:
            for entry in message.get("virtualTraffic", []):
                entries[entry["txBytes"]] = entries.get(entry["txBytes"], 0) + 1
        torn = {number: n for number, n in entries.items() if n != self.width}
        assert torn == {}, f"not {self.width} entries of extraction: {torn}"
        assert set(entries) <= set(range(1, self.handed + 1))
        return set(entries)


def losses(messages):
    """The losses that the text messages among these report: (messages, bytes, from, to, why) each."""
    found = (LOSS.fullmatch(message.get("text", "")) for message in messages)
    return [(int(match[1]), int(match[2]), *match.groups()[2:]) for match in found if match]


def once(requests):
    """The messages of accepted requests, each once. Asserts that only the last batch is ever repeated, whole; or,
    where the cap removed the start of a batch whose answer was never read, its rest, after the report of the loss."""
    last, last_body, messages = [], None, []
    for request in requests:
        new = request.messages
        if request.body != last_body:
            again = new[1:] if LOSS.fullmatch(new[0].get("text", "")) else []
            if again and again == last[-len(again):] and "proc_seq" in again[0]["logtail"]:
                assert len(again) < len(last)
                messages.append(new[0])
            else:
                messages += new
        last, last_body = new, request.body
    return messages


def check_order(messages):
    """Asserts that each run's messages are numbered from 1 without gaps, and that runs do not mix."""
    runs = {}
    latest = None
    for message in messages:
        head = message["logtail"]
        if "proc_seq" not in head:
            continue
        if head["proc_id"] != latest:
            assert head["proc_id"] not in runs, f"run {head['proc_id']} continues after another run"
            latest = head["proc_id"]
        runs.setdefault(latest, []).append(head["proc_seq"])
    for proc_id, numbers in runs.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"run {proc_id}: {numbers}"
    return runs
