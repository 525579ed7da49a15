import pytest

from localbook import benchmarks
from localbook.benchmarks import Meter
from localbook.benchmarks.training import parallel
from localbook.benchmarks.training.link import bytes_a_second
from localbook.local import PlainLocal
from localbook.local import parallel as local


def test_steps_in_one_process_and_in_many_are_timed_in_turns(monkeypatch):
    monkeypatch.setattr(parallel, "RULES", {"plain local": PlainLocal()})
    monkeypatch.setattr(parallel, "bytes_a_second", lambda size: 3.0 * 2**20)
    case = parallel.Case(depth=8, batch=10, modules=(2,), steps=8, rounds=1, parts=())
    step, stale, head, message, link = parallel.measure(Meter(samples=2), case)
    assert step.what == "step, plain local"
    assert step.n == 8 - 1 - 5  # differences, without the warm-up
    assert step.baseline == "one process"
    assert step.value > 0
    assert step.target == benchmarks.Target("ratio", 1 / 1.6)
    assert 0 <= stale.value <= 6
    assert head.value > 0
    assert message.value in (10 * 16 * 32**2 * 4 / 2**20, 10 * 32 * 16**2 * 4 / 2**20)
    assert (link.value, link.unit) == (3.0, "MiB a second")


def test_a_pipeline_of_micro_batches_is_timed_beside_one_process_and_its_bubble(monkeypatch):
    def pipelined(net, x, y, parts, *, steps):
        assert (len(net), len(x), parts) == (2, 10, 5)
        turns = [[step + 0.1 * turn for turn in range(10)] for step in range(steps)]
        begin = [[at + 0.1 * late for own in turns for at in own] for late in (0, 1)]
        own = [local.Updates(b, [at + 0.1 for at in b], []) for b in begin]
        return local.Pipelined([], own, parts)

    monkeypatch.setattr(parallel, "RULES", {})
    monkeypatch.setattr(parallel, "bytes_a_second", lambda size: 3.0 * 2**20)
    monkeypatch.setattr(local, "pipelined", pipelined)
    case = parallel.Case(depth=8, batch=10, modules=(2,), steps=7, rounds=1, parts=(5,))
    step, idle, *_ = parallel.measure(Meter(samples=2), case)
    assert step.value == pytest.approx(1100)
    assert step.baseline_value > 0
    assert idle.value == pytest.approx(1 / 11)  # one turn of eleven
    assert idle.baseline_value == pytest.approx(1 / 6)
    assert idle.n == 2


def test_a_connection_has_a_speed():
    assert bytes_a_second(1 << 16) > 1 << 16


def test_its_caption_says_that_the_wall_clock_was_used():
    made = {
        "name": "parallel", "noise": 0.0, "hardware": {"cpu": "a processor"}, "commit": None,
        "versions": {"numpy": "2"}, "dirty": False, "date": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    row = benchmarks.Row("step", "small", parallel.UNIT, 1.0, 1.0, 1.0, 3)
    assert "time on the wall" in benchmarks.caption(benchmarks.Benchmark(rows=[row], **made))
    counted = benchmarks.Row("size", "small", "MiB", 1.0, 1.0, 1.0, 1)
    timed = made | {"noise": 0.1}
    assert "processor time" in benchmarks.caption(benchmarks.Benchmark(rows=[counted], **timed))


@pytest.mark.parametrize(("noise", "verdict"), [(0.0, "missed"), (0.3, "too noisy to tell")])
def test_times_on_the_wall_are_judged_like_others(noise, verdict):
    row = benchmarks.Row("step", "small", parallel.UNIT, 0.65, 0.6, 0.7, 9, 0.65, "one process",
                         1.0, benchmarks.Target("ratio", 1 / 1.6))  # fmt: skip
    assert row.verdict(noise) == verdict
