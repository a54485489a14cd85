"""What every adapter of the verdicts' port does. An adapter's test class derives from this and gives `verdicts`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from isthmus.checkpoint.verdicts import Verdict, Verdicts

ANSWERED = Verdict("audit#1", True, "it is closed", 5_000, 4_000, 6_000, "no such table", 6_000, "here", 1)


class VerdictsContract:
    def test_a_question_that_nobody_asked_has_no_verdict(self, verdicts: Verdicts) -> None:
        assert verdicts.read_all() == {}

    def test_a_verdict_is_read_as_it_was_written(self, verdicts: Verdicts) -> None:
        silent = Verdict("moving#2", tried_ms=7_000, why="away", failing_ms=7_000, who="here", revision=1)
        assert verdicts.write(ANSWERED)
        assert verdicts.write(silent)
        assert verdicts.read_all() == {"audit#1": ANSWERED, "moving#2": silent}
        again = Verdict("audit#1", False, "it is open", 9_000, 9_000, 9_000, "", None, "there", 2)
        assert verdicts.write(again)
        assert verdicts.read_all()["audit#1"] == again

    def test_who_read_before_somebody_else_wrote_changes_nothing(self, verdicts: Verdicts) -> None:
        assert verdicts.write(ANSWERED)
        assert not verdicts.write(replace(ANSWERED, closed=False))
        assert not verdicts.write(replace(ANSWERED, closed=False, revision=3))
        assert verdicts.read_all() == {"audit#1": ANSWERED}

    def test_of_many_that_answer_at_once_one_is_written(self, verdicts: Verdicts) -> None:
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda who: verdicts.write(replace(ANSWERED, who=str(who))), range(8)))
        assert done.count(True) == 1
        assert verdicts.read_all()["audit#1"].who == str(done.index(True))
