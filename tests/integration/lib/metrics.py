# SPDX-License-Identifier: BSD-3-Clause
"""Prometheus' text format, read to the letter."""
import re

SAMPLE = re.compile(r'([a-z_]+)((?:\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})?) (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """Prometheus text (0.0.4) as {"name{labels}": value}."""
    assert text.endswith("\n")
    kinds, found = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds and kind in ("gauge", "counter"), line
            assert name.endswith("_total") == (kind == "counter"), line
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match and match[1] in kinds and match[1] + match[2] not in found, line
            found[match[1] + match[2]] = float(match[3])
    return found


def family(found, name, **labels):
    """The samples of a metric that have these labels, as [(labels, value)]."""
    result = []
    for key, value in found.items():
        own = dict(LABEL.findall(key))
        if key.partition("{")[0] == name and all(own.get(label) == wanted for label, wanted in labels.items()):
            result.append((own, value))
    return result


def total(found, name, **labels):
    """Their sum."""
    return sum(value for _, value in family(found, name, **labels))


def states(found, name, label, **labels):
    """{state: value} of a metric that has one sample for each state."""
    return {own[label]: value for own, value in family(found, name, **labels)}
