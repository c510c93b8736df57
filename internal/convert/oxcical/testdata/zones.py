"""Reads calendars from standard input and writes, a line each, when python3-vobject thinks that its event begins, in UTC,
by the VTIMEZONE in the calendar."""
import datetime
import sys

import vobject

for calendar in vobject.readComponents(sys.stdin.buffer.read().decode("utf-8")):
    start = calendar.vevent.dtstart.value
    print(calendar.vevent.uid.value, start.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
