"""Advice in words, with the commands that follow it. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from isthmus.console.resharding.advising import Advice, KeyLoad, LaneLoad, Limits, ShardLoad, Verdict, filled
from isthmus.console.resharding.cover import cuts_of, even_cuts
from isthmus.console.resharding.plan import plan

_OF: Final = {"bytes": "bytes", "records": "records", "changes": "changes that its consumer decides"}


class Command(NamedTuple):
    """A command that would help."""

    line: str
    steps: int
    """Splits and merges."""
    then: float | None
    """How full the fullest shard would be; None: not full enough to be hot."""


class Behind(NamedTuple):
    """How far behind the application is in an open shard."""

    shard: str
    seconds: float


def commands(advice: Advice) -> list[Command]:
    """Give the commands that would help, the one with the fewest steps first."""
    found = []
    if advice.equal is not None and advice.verdict in {Verdict.MORE, Verdict.EVEN, Verdict.FEWER}:
        steps = plan(cuts_of([shard.piece for shard in advice.shards]), even_cuts(advice.equal))
        found.append(Command(f"isthmus shards scale {advice.equal}", len(steps), advice.then))
    if advice.cuts and not any(command.steps <= len(advice.cuts) for command in found):
        line = " && ".join(f"isthmus shards split {cut.shard} --at {cut.at}" for cut in advice.cuts)
        found.insert(0, Command(line, len(advice.cuts), None))
    return found


def sentences(advice: Advice, limits: Limits, throttled: float | None, behind: Sequence[Behind]) -> list[str]:
    """Give what is to be said: the cause, what would help, and what the numbers do not show.

    `throttled`: bundles a second that Kinesis refused, None where nobody told.
    """
    told = [_hot(shard) for shard in advice.shards if shard.hot]
    match advice.verdict:
        case Verdict.QUIET:
            told.append("Nothing arrived in this time: there is nothing to advise.")
        case Verdict.FITS:
            told.append(f"The {_shards(len(advice.shards))} carry it: the fullest is {_percent(advice.then)} full.")
        case Verdict.FEWER:
            told.append(
                f"{_fewer(advice)} The limits are by the second: ask again at the busiest hour before you merge."
            )
        case Verdict.MORE:
            told.append(f"{_equal(advice)} would serve.")
        case Verdict.EVEN:
            told.append(f"{_equal(advice)} would serve: the shards are not equal now.")
        case Verdict.LANE | Verdict.KEY:
            told += _lane(advice, limits)
    if advice.saturated or throttled:
        refused = f" Kinesis refused {throttled:.1f} bundles a second." if throttled else ""
        told.append(
            f"A shard is at its limit: more may want to arrive than was measured.{refused} "
            "After the reshard, ask again."
        )
    late = [each for each in behind if not any(shard.hot and shard.piece.id == each.shard for shard in advice.shards)]
    if late:
        names = ", ".join(f"{each.shard} ({each.seconds:,.0f} s)" for each in late)
        told.append(
            f"Behind, though not full: {names}. There the consumer is the limit, or was away; more shards help where "
            "many are decided at once: see docs/shards.md."
        )
    return told


def _hot(shard: ShardLoad) -> str:
    lane = shard.heaviest.name if shard.heaviest is not None else "none"
    return f"{shard.piece.id} is hot: {_percent(shard.fill)} of its {_OF[shard.by]}. Its heaviest lane is {lane}."


def _fewer(advice: Advice) -> str:
    most = max(shard.fill for shard in advice.shards)
    return f"The fullest shard is {_percent(most)} full: {_equal(advice)} would serve too."


def _equal(advice: Advice) -> str:
    shards = f"{advice.equal} shards of equal size" if advice.equal != 1 else "1 shard"
    return f"{shards}, the fullest {_percent(advice.then)} full,"


def _lane(advice: Advice, limits: Limits) -> list[str]:
    lane, key = advice.lane, advice.key
    if lane is None:
        return []
    part, by = filled(lane.load, limits)
    alone = f"{lane.name} alone takes {_percent(part)} of a shard's {_OF[by]}."
    told = [f"{alone} A lane goes to one shard as a whole: no number of shards changes that."]
    if key is not None:
        rate = f"{key.load.changes:,.1f} changes and {key.load.bytes:,.0f} bytes a second"
        told.append(
            f"Most of it is one key, {key.key}: {rate}. "
            "Look in the back office why it changes so often; a source that is polled less often shows fewer states."
        )
    elif lane.keys:
        told.append(f"No single key makes it; its heaviest are {', '.join(_key(each, lane) for each in lane.keys)}.")
    if advice.equal is not None and advice.equal > len(advice.shards):
        told.append(f"For the other lanes {_equal(advice)} would be best.")
    return told


def _key(key: KeyLoad, lane: LaneLoad) -> str:
    return f"{key.key} ({_percent(key.load.bytes / lane.load.bytes if lane.load.bytes else 0.0)} of its bytes)"


def _shards(number: int) -> str:
    return f"{number} shards" if number != 1 else "1 shard"


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"
