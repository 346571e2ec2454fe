"""The model of `make bench-scaling` does its sums right, and its documents are what it measured."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy.dialects.postgresql import psycopg

from bench import model, scaling_report
from bench.model import COUNTER, LIFTS, POSTGRES, PROCESS, REDIS, Costs, Part, Site
from bench.scaling_parts import NUMBERED_BY, SCRIPTS, _figures_of_pgbench
from bench.scaling_report import HEADING, KEPT, Run, with_section
from task_app import events
from task_app.actions import tasks
from tests.support.server import ROOT

NOTHING = Costs(*[0.0] * 13)
ALONE = Site(1, postgres_cores=4, audience=0)

# What is costly, on which site: the part that gives way first, at so many writes a second.
CASES = [
    ({"write": 0.002}, ALONE, PROCESS, 500),
    ({"write": 0.002, "idle": 0.1}, ALONE, PROCESS, 450),
    ({"write": 0.002, "hold": 0.004}, ALONE, COUNTER, 250),
    ({"write": 0.002, "hold": 0.001}, ALONE, PROCESS, 500),
    ({"pg_write": 0.004}, ALONE, POSTGRES, 1000),
    ({"redis_write": 0.001, "redis_told": 0.001}, ALONE, REDIS, 500),
    # Ten share the writes, and each reads what nine others wrote.
    ({"write": 0.002}, replace(ALONE, processes=10), PROCESS, 5000),
    ({"row": 0.01}, replace(ALONE, processes=10), PROCESS, 1 / 0.009),
    ({"read": 0.01}, replace(ALONE, processes=10, batch=10), PROCESS, 1 / 0.0009),
    ({"message": 0.001}, replace(ALONE, processes=10, audience=50), PROCESS, 200),
    ({"pg_row": 0.004}, replace(ALONE, processes=11), POSTGRES, 100),
    ({"pg_write": 0.004, "pg_idle": 0.1}, replace(ALONE, processes=10), POSTGRES, 750),
    ({"redis_told": 0.001}, replace(ALONE, processes=10), REDIS, 100),
    # The counter does not care how many they are.
    ({"write": 0.002, "hold": 0.001}, replace(ALONE, processes=10), COUNTER, 1000),
    # What lifts it.
    (
        {"hold": 0.004, "hold_one_trip": 0.001},
        replace(ALONE, one_trip=True),
        COUNTER,
        1000,
    ),
    ({"hold": 0.004}, replace(ALONE, group=4), COUNTER, 1000),
    ({"hold": 0.004}, replace(ALONE, processes=8, partitions=8), COUNTER, 2000),
    ({"row": 0.01}, replace(ALONE, processes=8, partitions=4), PROCESS, 800),
    ({"pg_row": 0.004}, replace(ALONE, processes=176, per_reader=16), POSTGRES, 100),
    ({"redis_told": 0.001}, replace(ALONE, processes=160, per_reader=16), REDIS, 100),
]


@pytest.mark.parametrize(("given", "site", "part", "rate"), CASES)
def test_the_part_with_the_largest_demand_gives_way_first(
    given: dict[str, float], site: Site, part: str, rate: float
) -> None:
    name, ceiling = model.first(replace(NOTHING, **given), site)
    assert (name, ceiling) == (part, pytest.approx(rate))


def test_utilisation_is_throughput_times_demand() -> None:
    assert Part(0.2, 0.004).ceiling == pytest.approx(200)  # 0.2 + 200 · 0.004 = 1
    assert Part(1.5, 0.004).ceiling == 0  # busier than always before the first write
    assert Part(0.2, 0.0).ceiling == float("inf")


def test_a_machine_that_all_share_is_a_part_too() -> None:
    costs = replace(NOTHING, write=0.002, pg_write=0.001, redis_write=0.0005)
    rate = model.on_one_machine(costs, replace(ALONE, processes=4), cores=2, client=0.0005)
    assert rate == pytest.approx(2 / 0.004)
    held = replace(costs, hold=0.01)
    rate = model.on_one_machine(held, replace(ALONE, processes=4), cores=2, client=0.0005)
    assert rate == pytest.approx(100)


FOR = ((), (COUNTER,), (POSTGRES, REDIS), (COUNTER, PROCESS), (COUNTER,))  # what each lift is for


@pytest.mark.parametrize("processes", [100, 1000])
def test_each_lift_raises_the_ceiling_of_what_it_is_for(processes: int) -> None:
    costs = Costs(
        *[1e-3, 5e-4, 5e-5, 6e-6, 1e-3], *[5e-4, 1e-4, 2e-5, 5e-4], 2e-5, 5e-6, 2e-3, 5e-4
    )
    sites = [model.parts(costs, site) for _, site in model.lifted(Site(processes))]
    assert len(sites) == len(LIFTS) == len(FOR)
    for before, after, lifted in zip(sites, sites[1:], FOR[1:], strict=False):
        raised = [name for name in lifted if after[name].ceiling > before[name].ceiling]
        assert raised == list(lifted)


AMOUNTS = [
    {"write": 100.0, "read": 5.0, "row": 7.0, "idle": 2.0},
    {"write": 0.0, "read": 90.0, "row": 100.0, "idle": 2.0},
    {"write": 0.0, "read": 3.0, "row": 400.0, "idle": 3.0},
    {"write": 300.0, "read": 100.0, "row": 100.0, "idle": 1.0},
    {"write": 50.0, "read": 20.0, "row": 100.0, "idle": 9.0},
]


def test_a_fit_finds_the_costs_that_made_the_measurements() -> None:
    true = {"write": 2e-3, "read": 5e-4, "row": 4e-5, "idle": 1e-2}
    made = [(one, sum(true[name] * one[name] for name in true)) for one in AMOUNTS]
    found = model.fit(made, tuple(true))
    assert found == {name: pytest.approx(cost) for name, cost in true.items()}
    assert model.error(made, found) < 1e-6


def test_a_fit_has_no_negative_costs_and_survives_what_says_nothing() -> None:
    made = [
        (one, 2e-3 * one["write"] + 5e-4 * one["read"] - 4e-5 * one["row"] + 0.1) for one in AMOUNTS
    ]
    found = model.fit(made, ("write", "read", "row", "idle", "message"))
    assert min(found.values()) == 0
    assert found["message"] == 0
    assert found["write"] > 0


# --- what the documents are made of


def test_the_documents_are_what_was_measured() -> None:
    run = Run.of(KEPT)
    assert (ROOT / "docs" / "scaling.md").read_text() == scaling_report.document(run)
    assert scaling_report.benchmark_rows(run) in (ROOT / "docs" / "benchmarks.md").read_text()


def test_a_section_is_put_in_once() -> None:
    document = "# Title\n\ntable\n\n## What is compared\n\ntext\n"
    once = with_section(document, f"{HEADING}\n\none\n\n")
    assert once == f"# Title\n\ntable\n\n{HEADING}\n\none\n\n## What is compared\n\ntext\n"
    assert with_section(once, f"{HEADING}\n\ntwo\n\n") == once.replace("\none\n", "\ntwo\n")


TOLD = """\
latency average = 1.016 ms
tps = 984.251969 (without initial connection time)
statement latencies in milliseconds and failures:
         0.001           0  \\set user random(2, 101)
         0.060           0  BEGIN;
         0.300           0  INSERT INTO tasks (title) VALUES (:title::VARCHAR) RETURNING tasks.id
         0.100           0  UPDATE log_head SET seq=(log_head.seq + 1::BIGINT)
         0.080           0  INSERT INTO events (seq) VALUES (:seq::BIGINT);
         0.070           0  INSERT INTO event_rooms (room, seq) VALUES (:room::VARCHAR);
         0.400           0  COMMIT;
"""


def test_the_row_is_kept_from_the_number_to_the_commit() -> None:
    found = _figures_of_pgbench(TOLD)
    assert found["hold_ms"] == pytest.approx(0.08 + 0.07 + 0.4)
    assert found["number_ms"] == 0.1
    assert found["commit_ms"] == 0.4
    assert found["writes_per_s"] == pytest.approx(984.25, abs=0.01)


def plain(text: str) -> str:
    """Parameters and constants alike, on one line."""
    text = re.sub(r"%\(\w+\)s|(?<!:):(?!:)\w+|\bNULL\b|\b1(?=::)", "$", text)
    return " ".join(text.replace("\\gset made_", "").replace("\\gset", "").rstrip(" ;").split())


@pytest.mark.parametrize("name", NUMBERED_BY)
def test_pgbench_sends_what_the_server_sends(name: str) -> None:
    dialect = psycopg.dialect()
    sent = [plain(one.text(dialect)[0]) for one in (tasks._INSERT, events._APPEND)]
    lines = (SCRIPTS / f"{name}.sql").read_text().splitlines()
    script = [plain(one) for one in lines if one.startswith(("INSERT", "WITH"))]
    if name == "sequence":
        rest = re.compile(r"given AS .*")
        sent[1], script[1] = (rest.findall(one)[0] for one in (sent[1], script[1]))
    assert script == sent
