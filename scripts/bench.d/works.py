"""What all works share: the broker, the results, and the program they are compared with."""
import os
import subprocess
import time

from workers import KINDS, ROOT, at_rest

LINE = "x" * 104 + "{:08d}"  # 112 characters and a line end


class Works:
    """A group of works that are measured in one run: a method each."""

    def __init__(self, args, bootstrap, programs, folder):
        self.args, self.bootstrap, self.programs, self.folder = args, bootstrap, programs, folder
        self.results, self.names = {}, 0
        (folder / "empty.txt").touch()

    def rounds(self, work):
        return self.args.slow_rounds if work in self.SLOW else self.args.rounds

    def run(self, works):
        for work in works:
            for number in range(self.rounds(work)):
                print(f"{work}, round {number + 1} of {self.rounds(work)}", flush=True)
                getattr(self, work)()
            yield work

    def note(self, work, kind, value):
        self.results.setdefault(work, {}).setdefault(kind, []).append(value)
        print(f"  {work:<28} {kind:<9} {value:,.4f}", flush=True)

    def beneath(self):
        """What stands beneath the table."""
        return ""

    def bare(self, *args):
        if args[0] in ("produce", "consume"):
            at_rest()
        result = subprocess.run([self.programs["bare"], *map(str, args)], capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"bare {args}: {result.stderr}")
        return result.stdout.strip()

    def name(self):
        """One that nothing else has in this run."""
        self.names += 1
        return f"bench-{os.getpid()}-{self.names}"

    def topic(self, *settings):
        name = self.name()
        subprocess.run([ROOT / "scripts/kafka", "topic", "--dir", self.folder / "kafka", "create", name, *settings],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return name

    def idle_source(self, name="idle"):
        return name, {"connector.class": "FileStreamSource", "file": str(self.folder / "empty.txt"), "topic": "idle"}

    def many(self):
        """Idle connectors created over REST, one after another, in one worker."""
        count = self.args.connectors
        for kind in KINDS:
            with self.worker(kind).start() as worker:
                worker.healthy()
                time.sleep(2)
                memory, threads = worker.status("VmRSS"), worker.status("Threads")
                start = time.perf_counter()
                for number in range(count):
                    worker.create(*self.idle_source(f"c{number}"))
                worker.all_running(count)
                self.note("many time", kind, time.perf_counter() - start)
                time.sleep(5)
                self.note("many memory", kind, (worker.status("VmRSS") - memory) / count)
                self.note("many threads", kind, (worker.status("Threads") - threads) / count)
