#!/usr/bin/env python3
"""A sink for herdsman's ExecSink: the value of each record becomes a line of a file.

    connector.class=ExecSink
    command=/opt/connectors/lines_sink.py
    topics=lines
    file=/var/lib/app/lines.txt

A record is acknowledged when the disk has it, many at once: after 1000 of them, when there is a pause, and when the
worker asks, because it wants to commit offsets.
"""

import json
import os
import select
import sys

read_fd = int(os.environ["HERDSMAN_READ_FD"])
write_fd = int(os.environ["HERDSMAN_WRITE_FD"])


def say(message):
    os.write(write_fd, (json.dumps(message) + "\n").encode())


def messages():
    """What the worker says, and None when it is silent for a moment."""
    buffer = b""
    while True:
        if not select.select([read_fd], [], [], 0.05)[0]:
            yield None
            continue
        block = os.read(read_fd, 1 << 16)
        if not block:
            return
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            yield json.loads(line)


file = None
latest = acknowledged = 0


def acknowledge():
    global acknowledged
    if latest > acknowledged:
        file.flush()
        os.fsync(file.fileno())
        say({"ack": {"through": latest}})
        acknowledged = latest


for message in messages():
    if message is None or "flush" in message:
        acknowledge()
    elif "record" in message:
        record = message["record"]
        value = record["value"]
        file.write((value if isinstance(value, str) else json.dumps(value)) + "\n")
        latest = record["id"]
        if latest >= acknowledged + 1000:
            acknowledge()
    elif "start" in message:
        file = open(message["start"]["config"]["file"], "a", encoding="utf-8")
        say({"ready": {}})
    elif "stop" in message:
        break
acknowledge()
sys.exit(0)
