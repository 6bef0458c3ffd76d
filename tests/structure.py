#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds the tree against the table of folders in CONTRIBUTING.md.

usage: tests/structure.py [--source DIR] [--build DIR] [--figures]

A folder may use what its row names, and what those rows name in turn. Two things tell what uses what: the
includes, and (given a build) the symbols of the compiled objects, since a file can call another without
including its header. Neither may point at a folder that the table does not allow, and neither may run in a
circle from file to file. The functions that CONTRIBUTING.md follows one packet's count through have to be where it
says. One line for each fault; exit status 0 only when there is none.

--figures: prints the number of files in each folder, and of arrows between files.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOTS = ("common", "control", "daemon")
ROW = re.compile(r"^\| `((?:%s)/[\w/]*)` \|.*\|([^|]*)\|$" % "|".join(ROOTS), re.M)
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)
WALK = re.compile(r"^1\. `[\w/.]+`, `\w+\(\)`.*?(?=\n\n|\Z)", re.M | re.S)
NAME = re.compile(r"`(?:(\w+)\(\)|([\w/.]+\.[ch]))`")


def read_table(text):
    """folder: the folders that its row names."""
    return {folder.rstrip("/"): [name.rstrip("/") for name in re.findall(r"`([\w/]+)`", allowed)]
            for folder, allowed in ROW.findall(text)}


def closure(table, folder):
    """All that a folder may use, itself included."""
    found, waiting = set(), [folder]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += table.get(one, [])
    return found


def circles(arrows):
    """The circles of {node: set of nodes}, each as a sorted list of nodes (Tarjan's algorithm)."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == node:
                    break
            if len(group) > 1:
                result.append(sorted(group))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return result


def module(path):
    """daemon/tail.c and daemon/tail.h are one module; so are tun.bpf.c and the tun.skel.h made of it."""
    return re.sub(r"\.(bpf\.c|skel\.h|c|h)$", "", path)


def include_arrows(source):
    arrows = {}
    for root in ROOTS:
        for path in sorted((source / root).rglob("*.[ch]")):
            name = str(path.relative_to(source))
            used = {module(i) for i in INCLUDE.findall(path.read_text()) if i.startswith(ROOTS)}
            arrows.setdefault(module(name), set()).update(used - {module(name)})
    return arrows


def symbols(path, kind):
    out = subprocess.run(["nm", "--extern-only", kind, path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line.strip() and not line.endswith(":")}


def symbol_arrows(source, build):
    """What each object takes from others; the programs' main files too."""
    objects, arrows = {}, {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(command["directory"]) / command["file"]).resolve()
        compiled = build / command["output"]
        if path.is_relative_to(source) and compiled.exists():
            name = str(path.relative_to(source))
            if name.startswith(tuple(root + "/" for root in ROOTS)):
                objects.setdefault(module(name), compiled)
    if not objects:
        sys.exit(f"{build}: nothing is compiled there")
    owner = {}
    for name, compiled in objects.items():
        for symbol in symbols(compiled, "--defined-only"):
            owner.setdefault(symbol, name)
    for name, compiled in objects.items():
        used = {owner[symbol] for symbol in symbols(compiled, "--undefined-only") if symbol in owner}
        arrows[name] = used - {name}
    return arrows


def check(table, arrows, how):
    """The faults, a line each."""
    faults = []
    for name in sorted(arrows):
        folder = str(pathlib.PurePath(name).parent)
        if folder not in table:
            faults.append(f"{name}: its folder has no row in CONTRIBUTING.md")
            continue
        allowed = closure(table, folder)
        for other in sorted(arrows[name]):
            if str(pathlib.PurePath(other).parent) not in allowed:
                faults.append(f"{name} {how} {other}: {folder}/ may not use that folder")
    faults += [f"a circle, each {how} the next or another of it: " + ", ".join(group) for group in circles(arrows)]
    return faults


def check_table(table):
    faults = [f"{folder}/ names {other}/, which has no row"
              for folder in table for other in table[folder] if other not in table]
    return faults + ["folders that may use each other: " + ", ".join(group) for group in circles(table)]


def check_walk(text, source):
    """Each function is defined in the file that was named last before it."""
    walk, name, faults = WALK.search(text), None, []
    if not walk:
        return ["CONTRIBUTING.md follows no packet's count"]
    for function, file in NAME.findall(walk[0]):
        if file:
            name = file
            continue
        path = source / name
        # A definition: the name begins a parameter list, on a line that is not indented.
        if not path.is_file() or not re.search(rf"^\w[^;\n]*\b{function}\(", path.read_text(), re.M):
            faults.append(f"CONTRIBUTING.md: there is no {function}() in {name}")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args()
    source = options.source.resolve()
    text = (source / "CONTRIBUTING.md").read_text()
    table = read_table(text)
    if not table:
        sys.exit("CONTRIBUTING.md has no table of folders")
    faults = check_table(table) + check_walk(text, source)
    kinds = [("includes", include_arrows(source))]
    if options.build:
        kinds.append(("uses a symbol of", symbol_arrows(source, options.build.resolve())))
    for how, arrows in kinds:
        if options.figures:
            print(f"{how}: {len(arrows)} modules, {sum(len(a) for a in arrows.values())} arrows, "
                  f"{len(circles(arrows))} circles")
        faults += check(table, arrows, how)
    if options.figures:
        for folder in table:
            n = len([p for p in (source / folder).glob("*.[ch]")])
            print(f"{folder}/: {n} files")
    print("\n".join(faults) if faults else "every arrow points downwards, none runs in a circle")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
