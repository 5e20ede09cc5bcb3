"""The works of a standalone worker: its start, its size, records through it, and its REST API."""
import json
import time

from page import Row
from workers import JSON, KINDS, STRING, Worker, at_rest, until
from works import LINE, Works


class Standalone(Works):
    TITLE = "A standalone worker"
    WORKS = ("start", "idle", "source", "json", "sink", "health", "many")
    SLOW = ()
    ROWS = (
        Row("start", "process start until `/health` is 200, one file source, broker up", "s", True, 40),
        Row("idle", "resident memory, idle, one connector", "MB", True, 25),
        Row("source peak", "peak memory, file → topic", "MB", True, 12),
        Row("sink peak", "peak memory, topic → file", "MB", True, 12),
        Row("source", "file → topic, StringConverter", "records/s", False, 6, share_aim=0.8),
        Row("json", "file → topic, JsonConverter with schemas", "records/s", False, 6, bare="source"),
        Row("sink", "topic → file", "records/s", False, 2, share_aim=0.8),
        Row("health rate", "`/health`, 64 kept connections", "requests/s", False, 10),
        Row("health p99", "`/health`, 64 kept connections, 99th percentile", "ms", True, 20),
        Row("many time", "idle file sources created over REST until all are RUNNING", "s", True),
        Row("many memory", "memory for each of them", "kB", True, 10),
        Row("many threads", "threads for each of them", "", True, 10),
    )

    def __init__(self, *args):
        super().__init__(*args)
        self.input = self.folder / "lines.txt"
        self.full = None
        with open(self.input, "w") as file:
            for number in range(self.args.lines):
                file.write(LINE.format(number) + "\n")

    def sizes(self):
        return f"{self.args.lines:,} lines of 113 bytes; {self.args.connectors:,} idle connectors"

    def worker(self, kind, settings=None):
        return Worker(kind, self.bootstrap, settings)

    def start(self):
        for kind in KINDS:
            with self.worker(kind).start([self.idle_source()]) as worker:
                self.note("start", kind, worker.healthy())

    def idle(self):
        for kind in KINDS:
            with self.worker(kind).start([self.idle_source()]) as worker:
                worker.healthy()
                time.sleep(10)
                self.note("idle", kind, worker.status("VmRSS") / 1024)

    def source(self, work="source", converter=STRING):
        lines = self.args.lines
        if work == "source":
            self.note(work, "bare", lines / float(self.bare("produce", self.bootstrap, self.topic(), self.input)))
        for kind in KINDS:
            topic = self.topic()
            with self.worker(kind, {"value.converter": converter}).start() as worker:
                worker.healthy()
                at_rest()
                start = time.perf_counter()
                worker.create("lines", {"connector.class": "FileStreamSource", "file": str(self.input), "topic": topic})
                self.bare("watch", self.bootstrap, topic, lines, 300)
                self.note(work, kind, lines / (time.perf_counter() - start))
                self.note(work + " peak", kind, worker.status("VmHWM") / 1024)

    def json(self):
        self.source("json", JSON)

    def sink(self):
        lines, size = self.args.lines, self.input.stat().st_size
        if self.full is None:
            self.full = self.topic()
            self.bare("produce", self.bootstrap, self.full, self.input)
        output = self.folder / "output.txt"
        self.note("sink", "bare", lines / float(self.bare("consume", self.bootstrap, self.full, lines, output)))
        for kind in KINDS:
            output.unlink(missing_ok=True)
            with self.worker(kind).start() as worker:
                worker.healthy()
                at_rest()
                start = time.perf_counter()
                worker.create(self.name(),
                              {"connector.class": "FileStreamSink", "file": str(output), "topics": self.full})
                until("all lines", lambda: output.exists() and output.stat().st_size >= size, 300, 0.005)
                self.note("sink", kind, lines / (time.perf_counter() - start))
                self.note("sink peak", kind, worker.status("VmHWM") / 1024)

    def health(self):
        for kind in KINDS:
            with self.worker(kind).start() as worker:
                worker.healthy()
                at_rest()
                address = f"127.0.0.1:{worker.port}"
                self.bare("load", address, "/health", 64, 5)  # warm
                result = json.loads(self.bare("load", address, "/health", 64, 5))
                self.note("health rate", kind, result["rate"])
                self.note("health p99", kind, result["p99_ms"])
