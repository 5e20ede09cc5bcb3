"""The page of results: a section for each group of works, replaced when that group is measured again."""
import os
import platform
import statistics
import subprocess
import time
from typing import NamedTuple, Optional, Union

HEAD = """# Benchmarks

Measured by `scripts/bench`: both workers, the broker and what measures them share one machine, one after another in one
run for each table, a fresh worker for each round, medians. Compare the ratios, not the numbers: another machine has
others.

«Times better» is Apache's number against ours, turned so that more is better. «Share of it» is our rate against a
program that only reads lines and produces them, or consumes records and writes them, with the same library and the
same settings (`benches/bare`).

What the numbers leave out: a JVM becomes faster in its first minute, and each round starts a fresh one, as it does after
each restart of a worker. Broker and client share the cores, so a client that needs less leaves the broker more.

Again: `scripts/bench`; one part: `scripts/bench --only standalone:start,standalone:idle --rounds 3 --output /dev/stdout`.
"""


class Row(NamedTuple):
    """A line of a table: which result it shows, in words, and what is to be reached."""
    work: str
    text: str
    unit: str
    less_is_better: bool
    aim: Union[float, str, None] = None
    share_aim: Optional[float] = None
    bare: Optional[str] = None  # the work whose bare loop is the limit, if not its own


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def line(row, results):
    found = {kind: statistics.median(values) for kind, values in results[row.work].items()}
    ours, theirs = found["herdsman"], found.get("apache")
    ratio = times_better(row, ours, theirs) if theirs else None
    limits = results.get(row.bare or row.work, {}).get("bare")
    limit = statistics.median(limits) if limits else None
    cells = [row.text, f"{number(ours)} {row.unit}", f"{number(theirs)} {row.unit}" if theirs else "–",
             f"{ratio:.1f}" if theirs else "–", row.aim or "–",
             f"{number(limit)} {row.unit}" if limit else "–", f"{ours / limit:.2f}" if limit else "–",
             row.share_aim or "–"]
    return "| " + " | ".join(map(str, cells)) + " |"


def times_better(row, ours, theirs):
    if not ours:
        return float("inf")
    return theirs / ours if row.less_is_better else ours / theirs


def section(works, args):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]
    slow = f", {args.slow_rounds} of {', '.join(works.SLOW)}" if works.SLOW else ""
    rows = "\n".join(line(row, works.results) for row in works.ROWS if row.work in works.results)
    return f"""## {works.TITLE}

- On {time.strftime("%Y-%m-%d", time.gmtime())}: {cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}
- Apache Kafka and Apache Kafka Connect 4.3.1 on {java}, heap as Apache's scripts set it (-Xms256M -Xmx2G)
- {args.rounds} rounds of each work{slow}; {works.sizes()}

| work | herdsman | Apache 4.3.1 | times better | to reach | bare librdkafka | share of it | to reach |
|---|---|---|---|---|---|---|---|
{rows}
{works.beneath()}"""


def write(path, titles, fresh):
    """Puts the fresh sections, by title, in the place of those that the page has."""
    old = path.read_text().split("\n## ")[1:] if path.is_file() else []
    sections = {text.split("\n", 1)[0]: "## " + text.rstrip("\n") + "\n" for text in old}
    sections.update(fresh)
    path.write_text("\n".join([HEAD, *(sections[title] for title in titles if title in sections)]))
