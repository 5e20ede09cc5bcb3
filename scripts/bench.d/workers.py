"""Workers of either kind, how to ask them, and a machine that is at rest before anything is measured."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("herdsman", "apache")
STRING = "org.apache.kafka.connect.storage.StringConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
# After which a group has forgotten a member that was killed: `session.timeout.ms`, and some.
FORGOTTEN_SECONDS = 12


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, probe, seconds, pause=0.02):
    """Waits for a probe to give something; the seconds that took."""
    start = time.perf_counter()
    while True:
        value = probe()
        if value:
            return time.perf_counter() - start
        if time.perf_counter() - start > seconds:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(pause)


def at_rest():
    """Waits until the machine has little to do, so that what ran before is not measured; not for ever."""
    def busy():
        values = [int(value) for value in open("/proc/stat").readline().split()[1:]]
        return sum(values) - values[3] - values[4], sum(values)
    for _ in range(60):
        before = busy()
        time.sleep(0.5)
        after = busy()
        if after[0] - before[0] < 0.1 * (after[1] - before[1]):
            return


def ask(url, method="GET", body=None, timeout=100):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def is_healthy(port):
    """One probe by a bare socket, so that the prober costs next to nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Worker:
    """A worker in a folder of its own: standalone, or a member of `group`."""

    def __init__(self, kind, bootstrap, settings=None, group=None):
        self.kind, self.folder, self.port = kind, Path(tempfile.mkdtemp(prefix=f"bench-{kind}-")), free_port()
        self.mode = "distributed" if group else "standalone"
        lines = {"bootstrap.servers": bootstrap, "listeners": f"http://127.0.0.1:{self.port}", "key.converter": STRING,
                 "value.converter": STRING, "offset.flush.interval.ms": "1000"}
        if group:
            lines["group.id"] = group
            for topic in ("config", "offset", "status"):
                lines[f"{topic}.storage.topic"] = f"{group}-{topic}"
                lines[f"{topic}.storage.replication.factor"] = "1"
        else:
            lines["offset.storage.file.filename"] = str(self.folder / "offsets")
        self.properties = self.write("worker.properties", {**lines, **(settings or {})})

    def start(self, connectors=()):
        """Starts the process; standalone with connectors by name and config."""
        files = [self.write(f"{name}.properties", {"name": name, **config}) for name, config in connectors]
        if self.kind == "herdsman":
            command = [str(ROOT / "target/release/herdsman"), self.mode, self.properties, *files]
        else:
            command = [str(ROOT / "scripts/kafka"), f"connect-{self.mode}", self.properties, *files]
        at_rest()
        self.log = open(self.folder / "log", "w")
        self.started = time.perf_counter()
        # A process group to end it by, but no session of its own: the kernel shares the processors out between sessions
        # first, and the load's one thread would get as much as all of the worker's.
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        cwd=self.folder, process_group=0)
        return self

    def write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return str(path)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def healthy(self):
        """Seconds from the start of the process until it says that it is healthy."""
        until("healthy, see " + str(self.folder / "log"), lambda: is_healthy(self.port), 120, 0.0005)
        return time.perf_counter() - self.started

    def create(self, name, config):
        """As a client does: asks again while the group is being rearranged."""
        def created():
            try:
                ask(self.url("/connectors"), "POST", {"name": name, "config": config})
            except urllib.error.HTTPError as error:
                if error.code != 409:
                    raise
                return False
            return True
        until(f"{name} is created", created, 60)

    def tasks(self):
        """State and worker of each task of each connector."""
        status = ask(self.url("/connectors?expand=status"))
        return [(task["state"], task["worker_id"]) for one in status.values() for task in one["status"]["tasks"]]

    def all_running(self, count):
        def running():
            return [state for state, _ in self.tasks()].count("RUNNING") == count
        until(f"{count} tasks running, see {self.folder / 'log'}", running, 900, 0.05)

    def status(self, key):
        """A number of /proc/PID/status of the worker itself (memory in kB)."""
        text = Path(f"/proc/{self.pid()}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(key + ":"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pid(self):
        """The worker: the script that starts Apache may be its parent."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return int(children[0]) if children else self.process.pid

    def leave(self):
        """Stops as an operator would, so that a group knows at once."""
        os.kill(self.pid(), signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            print(f"  {self.kind} does not end: killed", flush=True)
            os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(FORGOTTEN_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
