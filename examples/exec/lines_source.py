#!/usr/bin/env python3
"""A source for herdsman's ExecSource: each line of a file becomes a record, also while the file grows.

    connector.class=ExecSource
    command=/opt/connectors/lines_source.py
    topic=lines
    file=/var/log/app.log

It goes on where it was: the offset of a record is the place in the file behind its line.
"""

import json
import os
import select
import sys

read_fd = int(os.environ["HERDSMAN_READ_FD"])
from_worker = os.fdopen(read_fd, "r", encoding="utf-8")
to_worker = os.fdopen(int(os.environ["HERDSMAN_WRITE_FD"]), "w", encoding="utf-8")


def say(message):
    to_worker.write(json.dumps(message, ensure_ascii=False) + "\n")


def hear():
    line = from_worker.readline()
    return json.loads(line) if line else {"stop": {}}


start = hear()["start"]
path = start["config"]["file"]
partition = {"file": path}

say({"offsets": {"source_partitions": [partition]}})
to_worker.flush()
stored = hear()["offsets"][0]["source_offset"]
position = stored["position"] if stored else 0

# Nothing here depends on what Kafka has, so no acknowledgements: the next line can only be that it is time to stop.
say({"ready": {"acks": False}})
to_worker.flush()
print(f"task {start['task']} of {start['tasks']} reads {path} from byte {position}", flush=True)

with open(path, "rb") as file:
    file.seek(position)
    while True:
        line = file.readline()
        if line.endswith(b"\n"):
            position += len(line)
            text = line[:-1].decode("utf-8", "replace")
            say({"record": {"source_partition": partition, "source_offset": {"position": position}, "value": text}})
            continue
        file.seek(position)
        to_worker.flush()
        if select.select([read_fd], [], [], 0.1)[0]:
            sys.exit(0)
