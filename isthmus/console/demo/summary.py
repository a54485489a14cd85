"""What the demo says at its end: one JSON object for scripts, sentences for people."""

from typing import Any

from rich.console import Console
from rich.table import Table

from isthmus.console.demo.kills import Victim

Summary = dict[str, Any]

_WHO = {
    Victim.PRODUCER.value: "the producer",
    Victim.CONSUMER.value: "the consumer",
    Victim.WORKER.value: "a worker",
    Victim.DAEMON.value: "its daemon",
    Victim.CHILD.value: "a shard's process",
}


def show(summary: Summary, samples: list[str], console: Console) -> None:
    """Print the summary so that a stranger understands it."""
    ok = summary["ok"]
    console.print()
    if ok:
        console.print("[bold green]Everything arrived: once, in order, with nothing lost.[/]")
    else:
        console.print("[bold red]The front office is not what the back office says it should be.[/]")
    books = Table(box=None, show_header=False, pad_edge=False)
    books.add_column(justify="right", style="bold")
    books.add_column()
    for number, words in _lines(summary):
        books.add_row(number, words)
    console.print(books)
    for sample in samples:
        console.print(f"  {sample}", markup=False, highlight=False)


def _lines(summary: Summary) -> list[tuple[str, str]]:
    def number(name: str) -> str:
        return f"{summary[name]:,}"

    freshness, memory = summary["freshness_ms"], summary["peak_rss_mb"]
    lines = [
        (number("modifications"), "modifications were committed by the back office"),
        (number("applied"), "of them took effect in the front office, each once"),
        (number("superseded"), "were overtaken by a newer state of the same flight before anybody looked"),
        (
            number("parked_changes"),
            f"are parked, of {summary['parked_keys']:,} flights to unknown airports; they held up nobody else",
        ),
        (number("filtered"), "were filtered by rule"),
        (number("published"), f"changes went through {number('shards')} shards in {number('records')} Kinesis records"),
        (number("entities"), "flights stand in the front office"),
        (
            number("mismatches"),
            "differences from an independent computation of flights, airport boards and parked keys",
        ),
    ]
    if summary["changes_per_s"] is not None:
        lines.append((f"{summary['changes_per_s']:,.0f}/s", "changes applied in the first load"))
    if freshness["p50"] is not None:
        half = f"{freshness['p50']:,.0f} ms for half of them"
        waited = [name for name in ("reshard", "outage", "gate", "poison") if summary[name]]
        waits = f", the waits of {', '.join(waited)} among them" if waited else ""
        lines.append(
            (f"{freshness['p99']:,.0f} ms", f"from commit to commit for 99 of 100 live changes; {half}{waits}")
        )
    repeats = [f"{summary[name]:,} {name}" for name in ("duplicate", "stale", "fenced") if summary[name]]
    if repeats:
        # What a worker counted in the seconds before it was killed is lost.
        least = " at least" if summary["runtime"] == "kcl" else ""
        lines.append((", ".join(repeats), f"deliveries{least} were recognised and had no effect"))
    lines += _episode_lines(summary)
    lines += _reshard_lines(summary)
    lines += _chaos_lines(summary)
    first, *others = memory
    rest = "".join(f", {memory[name]:.0f} MB for {_WHO[name]}" for name in others)
    lines.append((f"{memory[first]:.0f} MB", f"of memory for {_WHO[first]} at most{rest}"))
    lines.append((f"{summary['elapsed_s']:.1f} s", "in all, the check included"))
    return lines


def _episode_lines(summary: Summary) -> list[tuple[str, str]]:
    lines = []
    if (outage := summary["outage"]) is not None:
        lines.append(
            (f"{outage['seconds']:.0f} s", "the front office's store was away; nothing was lost or parked for it")
        )
    if (gate := summary["gate"]) is not None:
        seconds = (gate["opened_ms"] - gate["closed_ms"]) / 1000
        lines.append((f"{gate['held_changes']:,}", "changes were held by a gate, and came out in their order"))
        lines.append((f"{gate['effects']:,}", f"took effect in the {seconds:.0f} s in which it was closed"))
    if (poison := summary["poison"]) is not None:
        outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(poison["redriven"].items()))
        lines.append((f"{poison['parked_changes']:,}", "changes were parked by a translator with a defect"))
        lines.append((outcomes or "none", "once it was mended and `isthmus parked retry` had redriven them"))
        if poison["left"]:
            lines.append((f"{poison['left']:,}", "wait on, behind others of flights to unknown airports"))
    return lines


def _reshard_lines(summary: Summary) -> list[tuple[str, str]]:
    if not summary["reshard"]:
        return []
    closed = f"of the {summary['closed']} that were closed, {summary['drained']} are read to their end, by their leases"
    return [
        (" > ".join(map(str, summary["reshard"])), f"shards while it lived, shared by two workers; {closed}"),
        ("books", "balanced by the databases: journal, history, parking lot. Only repeats are as workers told them"),
    ]


def _chaos_lines(summary: Summary) -> list[tuple[str, str]]:
    faults, restarts = summary["faults"], summary["restarts"]
    lines = []
    if faults:
        names = ", ".join(f"{name} {number:,}" for name, number in faults.items())
        lines.append((f"{sum(faults.values()):,}", f"faults were put in, of {len(faults)} kinds: {names}"))
    if any(restarts.values()):
        each = ", ".join(f"{name} {number:,}" for name, number in restarts.items())
        lines.append((f"{sum(restarts.values()):,}", f"times a process was killed and started again: {each}"))
    return lines
