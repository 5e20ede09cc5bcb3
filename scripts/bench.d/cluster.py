"""The works of a member of a cluster: joining, reading what the internal topics hold, and what it costs at rest."""
import time

from page import Row
from workers import KINDS, Worker, until
from works import Works

OFFSETS = 1_000_000
CONNECTORS, TASKS_EACH = 10, 30
IDLE_CONNECTORS, IDLE_SECONDS = 100, 60


class Cluster(Works):
    TITLE = "A member of a cluster"
    WORKS = ("start", "idle", "third", "offsets", "many", "cpu")
    SLOW = ("third", "many", "cpu")
    ROWS = (
        Row("start", "process start until `/health` is 200, internal topics there, empty group", "s", True, 20),
        Row("idle", "resident memory, idle", "MB", True, 20),
        Row("third", "third worker joins 300 tasks: from its start until all are RUNNING and shared out", "s", True, 2),
        Row("offsets", "process start until `/health` is 200 with 1,000,000 offset records to read", "s", True, 3),
        Row("offsets peak", "peak memory of that", "MB", True, 5),
        Row("many time", "idle file sources created over REST until all are RUNNING, one worker", "s", True, 3),
        Row("many memory", "memory for each of them", "kB", True, 10),
        Row("many threads", "threads for each of them", "", True, 10),
        Row("cpu", "processor time a minute at rest with 100 idle file sources", "s", True, 5),
    )

    def __init__(self, *args):
        super().__init__(*args)
        self.groups = {}
        self.full = None

    def sizes(self):
        return f"{self.args.connectors:,} idle connectors; `group.initial.rebalance.delay.ms=0`"

    def worker(self, kind, group=None, settings=None):
        return Worker(kind, self.bootstrap, settings, group or self.name())

    def group(self, kind, purpose, settings=None):
        """An empty group whose internal topics are there."""
        if (kind, purpose) not in self.groups:
            group = self.groups[kind, purpose] = self.name()
            with self.worker(kind, group, settings).start() as worker:
                worker.healthy()
                worker.leave()
        return self.groups[kind, purpose]

    def start(self):
        for kind in KINDS:
            with self.worker(kind, self.group(kind, "start")).start() as worker:
                self.note("start", kind, worker.healthy())
                worker.leave()

    def idle(self):
        for kind in KINDS:
            with self.worker(kind).start() as worker:
                worker.healthy()
                time.sleep(10)
                self.note("idle", kind, worker.status("VmRSS") / 1024)

    def third(self):
        count = CONNECTORS * TASKS_EACH
        for kind in KINDS:
            group = self.name()
            with self.worker(kind, group).start() as first, self.worker(kind, group).start() as second:
                first.healthy()
                second.healthy()
                for number in range(CONNECTORS):
                    first.create(f"v{number}", {
                        "connector.class": "org.apache.kafka.connect.tools.VerifiableSourceConnector",
                        "tasks.max": TASKS_EACH, "topic": "verifiable", "throughput": 1})
                first.all_running(count)
                with self.worker(kind, group).start() as third:
                    def shared_out():
                        tasks = first.tasks()
                        states = [state for state, _ in tasks]
                        its = [worker for _, worker in tasks].count(f"127.0.0.1:{third.port}")
                        return states.count("RUNNING") == count and its >= count // 3 - CONNECTORS
                    until("the third has its share", shared_out, 300, 0.02)
                    self.note("third", kind, time.perf_counter() - third.started)

    def offsets(self):
        if self.full is None:
            self.full = self.topic("--partitions", "25", "--config", "cleanup.policy=compact")
            self.bare("offsets", self.bootstrap, self.full, OFFSETS)
        settings = {"offset.storage.topic": self.full}
        for kind in KINDS:
            with self.worker(kind, self.group(kind, "offsets", settings), settings).start() as worker:
                self.note("offsets", kind, worker.healthy())
                self.note("offsets peak", kind, worker.status("VmHWM") / 1024)
                worker.leave()

    def cpu(self):
        for kind in KINDS:
            with self.worker(kind).start() as worker:
                worker.healthy()
                for number in range(IDLE_CONNECTORS):
                    worker.create(*self.idle_source(f"c{number}"))
                worker.all_running(IDLE_CONNECTORS)
                time.sleep(15)
                before = worker.cpu_seconds()
                time.sleep(IDLE_SECONDS)
                self.note("cpu", kind, (worker.cpu_seconds() - before) * 60 / IDLE_SECONDS)
