"""Children that crash, hang or print: replaced, their work done again, and the record that kills them rejected."""

from __future__ import annotations

import signal
import threading

import pytest

from tokenladder.pipelines.engines import care, isolate
from tokenladder.pipelines.files.store import UserError

HERE = "tokenladder.tests.pipelines.misbehaving"


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool of this test's own, ended with it."""
    own = isolate.Pool()
    monkeypatch.setattr(isolate, "POOL", own)
    yield own
    own.close()


def test_a_child_is_kept_for_the_next_call():
    first, second = (isolate.call(f"{HERE}:work", {}) for _ in range(2))
    assert first == second
    assert first["done"] == [0, 1, 2, 3]
    assert first["reject"] == {}


def test_a_record_that_kills_twice_is_rejected_and_nothing_else_is_lost():
    found = isolate.call(f"{HERE}:work", {"crash": [1, 3], "records": 5, "reject": {"0": "known before"}})
    assert found["done"] == [2, 4]
    killed = "extraction crashed (signal 11)"
    assert found["reject"] == {"0": "known before", "1": killed, "3": killed}


def test_a_child_that_dies_once_has_bad_luck(tmp_path):
    found = isolate.call(f"{HERE}:work", {"crash_once": [0, 2], "folder": str(tmp_path)})
    assert (found["done"], found["reject"]) == ([0, 1, 2, 3], {})


def test_a_child_that_hangs_is_replaced():
    found = isolate.call(f"{HERE}:work", {"hang": [1]}, stall=0.3)
    assert (found["done"], found["reject"]) == ([0, 2, 3], {"1": "extraction timed out"})


def test_a_child_that_is_stopped_outside_any_record_is_replaced(pool):
    stopped = isolate.Child()
    pool._idle.append(stopped)
    stopped._process.send_signal(signal.SIGSTOP)
    found = isolate.call(f"{HERE}:work", {}, stall=0.3)
    assert (found["done"], found["reject"]) == ([0, 1, 2, 3], {})
    assert stopped._process.returncode == -signal.SIGKILL


def test_a_child_that_dies_outside_any_record():
    with pytest.raises(ChildProcessError) as error:
        isolate.call(f"{HERE}:die", {"status": 7, "name": "crawl.warc"})
    assert str(error.value) == (
        "tests.pipelines.misbehaving:die: its process ended with status 7 3 times, and not at one record, while it "
        "worked on crawl.warc. That is hardly the input: look at what it uses, its library's version and the memory of "
        "this machine, then run the same command again; what is finished is kept."
    )


@pytest.mark.parametrize(("kind", "raised"), [("UserError", UserError), ("OSError", OSError)])
def test_errors_for_people_come_as_they_are(kind, raised):
    with pytest.raises(raised) as error:
        isolate.call(f"{HERE}:fail", {"kind": kind})
    assert str(error.value) == "what is wrong: ä\nand a second line"
    assert isolate.call(f"{HERE}:work", {})["done"] == [0, 1, 2, 3]


def test_other_errors_come_with_the_childs_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)Traceback .*misbehaving\.py.*ValueError: what is wrong"):
        isolate.call(f"{HERE}:fail", {"kind": "ValueError"})
    with pytest.raises(RuntimeError, match="os is not a module of this package"):
        isolate.call("os:getcwd", {})


def test_what_a_library_prints_does_not_reach_the_pipe():
    assert isolate.call(f"{HERE}:chatter", {"value": [1, "ä", None]}) == [1, "ä", None]


def test_memory_is_limited():
    with pytest.raises(ChildProcessError, match=r"misbehaving:allocate: its process ran out of memory 3 times"):
        isolate.call(f"{HERE}:allocate", {"bytes": 7 << 30})


def test_each_thread_has_a_child_of_its_own(pool):
    found = []
    together = threading.Barrier(2)

    def run():
        with pool.borrow() as child:
            together.wait(timeout=60)
            found.append(child.call(f"{HERE}:work", {"reject": {}}, 10)["pid"])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2


def test_a_record_that_runs_out_of_memory_twice_is_rejected():
    found = isolate.call(f"{HERE}:work", {"swell": [2]})
    assert (found["done"], found["reject"]) == ([0, 1, 3], {"2": "extraction ran out of memory"})


@pytest.mark.parametrize(
    ("how", "reason"),
    [("crash", "crashed (signal 11)"), ("hang", "timed out"), ("swell", "ran out of memory")],
)
def test_a_record_that_kills_a_score_has_no_value_of_it(how, reason):
    found = isolate.call(
        "tokenladder.tests.pipelines.deadly_score:score",
        {how: [4], "records": 7, "batch": 3},
        stall=0.3 if how == "hang" else 60,
    )
    assert found == {
        "marks": [[0, 1, 2], [3, None, 5], [6]],
        "reject": {str(isolate.SCORING + 4): f"scoring {reason}"},
        "killed": {"4": f"scoring {reason}"},
        "careful": 1,
    }


def test_a_batch_that_kills_of_which_no_record_does_is_scored_one_by_one():
    payload = {"crash_together": [4], "records": 7, "batch": 3}
    found = isolate.call("tokenladder.tests.pipelines.deadly_score:score", payload)
    assert found == {"marks": [[0, 1, 2], [3, 4, 5], [6]], "reject": {}, "killed": {}, "careful": 2}


def test_a_score_that_every_record_kills_is_told_by_name(monkeypatch):
    monkeypatch.setattr(isolate, "MANY", 2)
    payload = {"crash": [1, 2, 3, 4], "records": 5, "batch": 5, "scores": {"0a": {"type": "deadly"}}}
    expected = r"crashed \(signal 11\) at 2 records, one after the other, .*: look at the score 'deadly', its library's"
    with pytest.raises(ChildProcessError, match=expected):
        isolate.call("tokenladder.tests.pipelines.deadly_score:score", payload)


def test_reading_carefully_writes_the_same_but_for_what_kills(tmp_path):
    from dataclasses import asdict

    import little

    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.files import store
    from tokenladder.pipelines.stages.read import read_slice
    from tokenladder.pipelines.stages.score import score_part
    from tokenladder.pipelines.study.file import load

    rows = [*little.corpus(9, 8), {"id": "none", "text": ""}]
    source = {"web": little.write_jsonl(tmp_path / "a.jsonl", rows)}
    scores = {"lengths": {"type": "lengths"}, "squeeze": {"type": "compression"}}
    rule = [{"score": "lengths.words", "min": 1}, {"score": "squeeze", "min": 0.0}]
    study = little.write_study(tmp_path, source, scores=scores, recipes={"all": {"keep": rule, "dedup": False}})
    plan = make_plan(load(str(study)), str(tmp_path / "out"), None)
    (one,) = plan.sources
    ((name, piece),) = one.slices
    task = {"id": name, "source": asdict(one.source), "slice": piece.to_json(), "scores": plan.scores}
    seen = []
    read_slice({**task, "store": str(tmp_path / "plain")})
    read_slice({**task, "store": str(tmp_path / "careful"), "careful": 1}, at=seen.append)
    read_slice({**task, "store": str(tmp_path / "alone"), "careful": 2})
    for how in ("careful", "alone"):
        assert little.differing(little.files(tmp_path / "plain"), little.files(tmp_path / how)) == []
    scored = [n for n in seen if n >= isolate.SCORING]
    families = list(dict.fromkeys(n // isolate.SCORING for n in scored))  # a slice begins with any
    assert sorted(families) == list(range(1, len(plan.scores) + 1))
    assert scored == [isolate.SCORING * family + row for family in families for row in range(9)]
    family = list(plan.scores)[1]
    killing = {"careful": 1, "reject": {str(2 * isolate.SCORING + 3): "scoring crashed (signal 11)"}}
    read_slice({**task, "store": str(tmp_path / "killed"), **killing})
    path = f"scores/{family}/{name}/00000.parquet"
    differing = little.differing(little.files(tmp_path / "plain"), little.files(tmp_path / "killed"))
    assert differing == [path]
    before, after = (store.read_table(str(tmp_path / where / path)).to_pylist() for where in ("plain", "killed"))
    assert [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [3]
    assert set(after[3].values()) == {None}
    assert care.killed_rows(str(tmp_path / "killed" / path)) == {3: "scoring crashed (signal 11)"}
    assert care.killed_rows(str(tmp_path / "plain" / path)) == {}
    later = {"part": f"{name}/00000", "fingerprint": family, **plan.scores[family], "store": str(tmp_path / "plain")}
    score_part({**later, "careful": 1, "reject": {str(isolate.SCORING + 3): "scoring timed out"}})
    assert store.read_table(str(tmp_path / "plain" / path)).to_pylist() == after  # computed then or later
