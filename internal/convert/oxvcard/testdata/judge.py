"""Reads cards of vCard 3.0 from standard input and writes what python3-vobject finds in each, as JSON, a card a line."""
import json
import sys

import vobject


def text(value):
    if isinstance(value, list):
        return [text(v) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def content(line):
    v = line.value
    if line.name == "N":
        return [v.family, v.given, v.additional, v.prefix, v.suffix]
    if line.name == "ADR":
        return [v.box, v.extended, v.street, v.city, v.region, v.code, v.country]
    return text(v)


for card in vobject.readComponents(sys.stdin.buffer.read().decode("utf-8")):
    wanted = {"FN", "N", "TEL", "EMAIL", "NOTE", "ORG", "TITLE", "ADR", "CATEGORIES", "PHOTO", "BDAY"}
    print(json.dumps([[line.name, content(line)] for line in card.lines() if line.name in wanted]))
