"""kill -9 at random moments: started again as the README says, every command ends as if it had never been killed.

Nothing is lost but the epoch, the images, the trial or the interval that was under way, and nothing half-written is
left.
"""

import random
import shutil

import pytest
from kills import PLAN, SERIES, STEPS, kill_again_and_again
from processes import check_whole, finish, unlike

from core_code.search.files import read_study
from core_code.search.results import is_counted


def test_the_whole_suite_kills_more_than_fifty_times():
    assert PLAN.keys() == SERIES.keys()
    assert sum(slow for _, slow in PLAN.values()) >= 50
    assert 8 <= sum(quick for quick, _ in PLAN.values()) <= 12


@pytest.mark.parametrize("name", [name for name, (quick, _) in PLAN.items() if quick])
def test_a_few_kills(name, shop, tmp_path):
    kill_and_compare(name, PLAN[name][0], "few", shop, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, slow) in PLAN.items() if slow])
def test_many_kills(name, shop, tmp_path):
    kill_and_compare(name, PLAN[name][1], "many", shop, tmp_path)


def kill_and_compare(name, kills, seed, shop, tmp_path):
    """Kill a command of the plan so many times, let it finish, and compare with one that was left alone."""
    series = SERIES[name](kills, shop)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    killed, kept = kill_again_and_again(series, broken, kills, random.Random(f"{name} {seed}"))
    assert killed == kills
    finish([*series.command, *series.again], broken)
    check_whole(broken)
    end = series.kept(broken)
    assert {key: end[key] for key in kept} == kept
    if name == "study":
        check_study(broken, STEPS * kills)
    else:
        finish(series.command, unbroken)
        assert unlike(broken, unbroken) == []
    shutil.rmtree(tmp_path)


def check_study(folder, expected):
    """A study that was interrupted draws other values than an unbroken one; its trials must be as many as asked for."""
    trials = read_study(folder / "optuna_study_output/optuna_study_results_small_E.pkl").trials
    ends = [trial.state.name for trial in trials if is_counted(trial)]
    assert len(ends) == expected and set(ends) <= {"COMPLETE", "PRUNED"}, ends
