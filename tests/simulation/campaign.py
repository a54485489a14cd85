"""Many histories in a row, and what they have seen together."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.plan import STEPS, Kind, Step, make_plan
from tests.simulation.world import Verdict, run


@dataclass
class Campaign:
    """What was run. `failed` is the first history that broke a promise."""

    histories: int = 0
    virtual_seconds: float = 0.0
    fired: Counter[tuple[Kind, Step]] = field(default_factory=Counter)
    failed: Verdict | None = None

    def run(self, seeds: Iterable[int]) -> bool:
        """Run the history of each seed, until one fails. Give whether all kept every promise."""
        for seed in seeds:
            verdict = run(make_plan(seed))
            self.histories += 1
            self.virtual_seconds += verdict.seconds
            self.fired.update(verdict.fired)
            if verdict.violations:
                self.failed = verdict
                return False
        return True

    def kinds_missing(self) -> list[Kind]:
        """Name the faults that never struck."""
        return [kind for kind in Kind if not any(struck is kind for struck, _ in self.fired)]

    def steps_missing(self) -> list[tuple[Kind, Step]]:
        """Name the steps at which a fault could have struck and never did."""
        return [(kind, step) for kind in Kind for step in STEPS[kind] if (kind, step) not in self.fired]

    def coverage(self) -> str:
        """Give a table: a line for each fault, with how often it struck at which step."""
        lines = []
        for kind in Kind:
            struck = {step: self.fired[kind, step] for step in STEPS[kind]}
            where = ", ".join(f"{role} {call} {count}" for (role, call), count in struck.items())
            lines.append(f"{kind:15} {sum(struck.values()):7}  {where}")
        return "\n".join(lines)
