"""Reads calendars, one after the other, from standard input and writes what python3-icalendar finds in each, as JSON, a
calendar a line: for every event and task the texts, the moments in UTC, the rule and the people."""
import datetime
import json
import re
import sys

import icalendar


def moment(value):
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return value.strftime("%Y-%m-%dT%H:%M:%S")
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def every(component, name):
    value = component.get(name, [])
    values = value if isinstance(value, list) else [value]
    return [v for v in values if v is not None]


def found(component):
    out = []
    for name in ("SUMMARY", "DESCRIPTION", "LOCATION", "UID"):
        out += [[name, str(v)] for v in every(component, name)]
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID", "DUE"):
        out += [[name, moment(v.dt)] for v in every(component, name) if hasattr(v, "dt")]
    for name in ("EXDATE", "RDATE"):
        out += [[name, moment(d.dt)] for v in every(component, name) if hasattr(v, "dts") for d in v.dts]
    for name in ("ATTENDEE", "ORGANIZER"):
        out += [[name, str(v) + " " + str(v.params.get("CN", ""))] for v in every(component, name)]
    for v in every(component, "RRULE"):
        out.append(["FREQ", v.get("FREQ", [""])[0]])
        out.append(["COUNT", str(v.get("COUNT", [0])[0])])
    out.append(["ALARMS", str(len(component.walk("VALARM")))])
    return out


text = sys.stdin.buffer.read().decode("utf-8")
for one in re.findall(r"BEGIN:VCALENDAR\r\n.*?END:VCALENDAR\r\n", text, re.S):
    calendar = icalendar.Calendar.from_ical(one)
    print(json.dumps([found(c) for c in calendar.walk() if c.name in ("VEVENT", "VTODO")]))
