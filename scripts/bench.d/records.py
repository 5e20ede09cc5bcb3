"""The works of records: JSON with schemas through five transforms, and a program as a source."""
import json
import subprocess
import time

from page import Row
from standalone import Standalone
from workers import JSON, KINDS, ROOT, STRING, at_rest, until

CHAINS = json.loads((ROOT / "benches/chains.json").read_text())
EXAMPLE = ROOT / "examples/exec/lines_source.py"
WITH_SCHEMAS = {"key.converter": JSON, "value.converter": JSON}
ORDER_ID, ORDER_AMOUNT, AMOUNTS = 10_000_000, 1000, 9000
EXEC_AIM = "200,000 records/s"
ABOUT_STAGES = """
The bare program produces as many orders in place of what the source makes of lines, key and value together about as
long, and reads more for it. What a record costs on the thread of its task, waiting left out (`benches/stages`);
librdkafka's threads and the broker work beside it:
"""


def transforms(chain):
    """The settings of a connector for a chain of benches/chains.json."""
    lines = {"transforms": ",".join(f"t{number}" for number in range(len(chain)))}
    for number, (name, settings) in enumerate(chain):
        lines[f"transforms.t{number}.type"] = f"org.apache.kafka.connect.transforms.{name}"
        lines.update({f"transforms.t{number}.{key}": value for key, value in settings.items()})
    return lines


def order(number):
    """One of equally long messages."""
    return {**CHAINS["order"]["payload"], "id": ORDER_ID + number, "customer": f"customer {ORDER_ID + number}",
            "amount": ORDER_AMOUNT + number % AMOUNTS, "at": CHAINS["order"]["payload"]["at"] + number}


def line_of(topic, number):
    """What the file sink writes of an order that has gone through the chain."""
    payload = order(number)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(payload["at"] / 1000))
    return (f"Struct{{id={payload['id']},buyer={payload['customer']},amount={payload['amount']}.0,card=****,at={at},"
            f"topic={topic},partition=0}}\n")


class Records(Standalone):
    TITLE = "Records"
    WORKS = ("source", "sink", "exec", "stages")
    SLOW = ()
    ROWS = (
        Row("source", "file → five transforms → JsonConverter with schemas → topic", "records/s", False, 4),
        Row("sink", "topic → JsonConverter with schemas → five transforms → file", "records/s", False, 4),
        Row("exec", "exec source, a compiled program, JSON objects → topic", "records/s", False, EXEC_AIM),
        Row("exec acks", "the same with acknowledgements", "records/s", False, EXEC_AIM),
        Row("exec example", "exec source, `examples/exec/lines_source.py`", "records/s", False),
    )

    def __init__(self, *args):
        super().__init__(*args)
        self.stages_text, self.orders = "", None

    def sizes(self):
        size = len(json.dumps({**CHAINS["order"], "payload": order(0)}, separators=(",", ":")))
        return f"{self.args.lines:,} lines of 113 bytes; orders of {size} bytes"

    def rounds(self, work):
        return 1 if work == "stages" else super().rounds(work)

    def beneath(self):
        return self.stages_text and f"{ABOUT_STAGES}\n{self.stages_text}"

    def source(self):
        rate, self.orders = self.produce_orders()
        self.note("source", "bare", rate)
        for kind in KINDS:
            topic = self.topic()
            with self.worker(kind, WITH_SCHEMAS).start() as worker:
                self.fill(worker, "source", kind, topic, {
                    "connector.class": "FileStreamSource", "file": self.input, "topic": f"raw-{topic}",
                    **transforms(CHAINS["source"])})

    def fill(self, worker, work, kind, topic, config):
        """Creates a source, and takes the time until the topic holds all."""
        worker.healthy()
        at_rest()
        start = time.perf_counter()
        worker.create(topic, {key: str(value) for key, value in config.items()})
        self.bare("watch", self.bootstrap, topic, self.args.lines, 300)
        self.note(work, kind, self.args.lines / (time.perf_counter() - start))

    def orders_file(self):
        file = self.folder / "orders.txt"
        if not file.exists():
            schema = json.dumps(CHAINS["order"]["schema"], separators=(",", ":"))
            with open(file, "w") as messages:
                for number in range(self.args.lines):
                    payload = json.dumps(order(number), separators=(",", ":"))
                    messages.write(f'{{"schema":{schema},"payload":{payload}}}\n')
        return file

    def produce_orders(self):
        """So many messages about as long as those of the source; the rate, and the topic that holds them."""
        topic = self.topic()
        seconds = float(self.bare("produce", self.bootstrap, topic, self.orders_file()))
        return self.args.lines / seconds, topic

    def topic_of_orders(self):
        if self.orders is None:
            _, self.orders = self.produce_orders()
        return self.orders

    def sink(self):
        lines, topic, output = self.args.lines, self.topic_of_orders(), self.folder / "output.txt"
        self.note("sink", "bare", lines / float(self.bare("consume", self.bootstrap, topic, lines, output)))
        last = line_of(topic, lines - 1)
        for kind in KINDS:
            output.unlink(missing_ok=True)
            with self.worker(kind, WITH_SCHEMAS).start() as worker:
                worker.healthy()
                at_rest()
                start = time.perf_counter()
                worker.create(self.name(), {"connector.class": "FileStreamSink", "file": str(output), "topics": topic,
                                            "key.converter": STRING,
                                            **transforms(CHAINS["sink"])})
                size = lines * len(last)
                until("all orders", lambda: output.exists() and output.stat().st_size >= size, 300, 0.005)
                self.note("sink", kind, lines / (time.perf_counter() - start))
            with open(output, "rb") as file:
                file.seek(-len(last), 2)
                found = file.read().decode()
            if found != last:
                raise SystemExit(f"{kind} wrote {found!r}, and should have written {last!r}")

    def exec(self):
        plain = {"value.converter": JSON, "value.converter.schemas.enable": "false"}
        for work, command, settings in (
                ("exec", json.dumps([self.programs["bare"], "say", str(self.args.lines), "false"]), plain),
                ("exec acks", json.dumps([self.programs["bare"], "say", str(self.args.lines), "true"]), plain),
                ("exec example", str(EXAMPLE), {})):
            topic = self.topic()
            allowed = {"exec.allowed": f"{self.programs['bare']},{EXAMPLE}"}
            with self.worker("herdsman", {**settings, **allowed}).start() as worker:
                self.fill(worker, work, "herdsman", topic, {
                    "connector.class": "ExecSource", "command": command, "topic": topic, "file": self.input})

    def stages(self):
        lines, orders = self.args.lines, self.topic_of_orders()
        at_rest()
        self.stages_text = subprocess.run(
            [self.programs["stages"], self.bootstrap, self.topic(), str(self.input), orders, str(lines)],
            check=True, capture_output=True, text=True).stdout
