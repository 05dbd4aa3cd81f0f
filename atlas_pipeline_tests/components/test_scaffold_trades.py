"""First contracts of a dozen trades: what is in them, that the file of the next days passes, that real faults do not.

Each trade has a file of the past weeks, which the scaffold reads, and one of the last days, in which happens what does:
a new town, a greater amount, a colder night, a longer number.
"""

import csv
import datetime as dt
import io
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import create_defs_folder_sandbox
from psycopg import sql

from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.verification import verify
from atlas_pipeline_tests import projects

DATASET = "atlas_pipeline.components.Dataset"
TODAY = dt.datetime.now(dt.UTC).date()
LATER = 3  # days of the second file

Row = dict[str, Any]


@dataclass(frozen=True)
class Trade:
    """One dataset.

    Attributes:
        row: makes the row of a number and a day; `late` in the second file.
        faults: assignments to one row of silver, and the check that must tell.
        a_day: rows of a day.
        absent: checks that nobody would sign.
        key: as guessed.
        format: of the files.
    """

    row: Callable[[int, dt.date, bool, random.Random], Row]
    faults: dict[str, str]
    a_day: int = 4
    absent: tuple[str, ...] = ()
    key: str | list[str] | None = None
    format: str = "csv"
    given: str | None = None


def _clock(day: dt.date, hour: int, minute: int = 0) -> str:
    return f"{day} {hour:02}:{minute:02}:00"


def payroll(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    gross = f"{chance.randrange(2, 9)}.{chance.randrange(100, 999)},{chance.randrange(10, 99)}"
    return {
        "Personalnummer": 70_000 + n,
        "Nachname": ["Test", "Probe", "Muster"][n % 3],
        "Abteilung": "Neubau" if late else ["Einkauf", "Lager", "Vertrieb"][n % 3],
        "Bruttogehalt": "12.004,50" if late else gross,
        "Eintritt": f"{1 + n % 28:02}.{1 + n % 12:02}.{1989 if late else 1995 + n % 25}",
        "Steuerklasse": ["I", "III", "IV"][n % 3],
    }


def hospital(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "visit_id": 9_900 + n,
        "patient_id": 100 + chance.randrange(50),
        "ward": "N9" if late else ["A1", "B2", "C3"][n % 3],
        "admitted_at": _clock(day, n % 20),
        "discharged_at": "" if late and n % 2 else _clock(day, n % 20 + 2),
        "diagnosis_code": ["J06.9", "S52.5", "I10"][n % 3],
        "triage_level": ["red", "yellow", "green"][n % 3],
    }


def sensors(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "sensor": "s9" if late else f"s{n % 4}",
        "ts": f"{day}T{n % 24:02}:00:00Z",
        "temperature": -4.5 if late else 10 + chance.randrange(100) / 10,
        "humidity": 30 + chance.randrange(60),
        "status": ["ok", "low", "fault"][n % 3],
    }


def shop(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "order_id": 9_900 + n,
        "customer_id": 1 + chance.randrange(40),
        "status": ["new", "paid", "sent"][n % 3],
        "currency": ["EUR", "SEK"][n % 2],
        "quantity": 900 if late else 1 + n % 5,
        "unit_price": "4999.00" if late else f"{1 + n % 80}.90",
        "town": "Uppsala" if late else ["Lund", "Malmö", "Ystad"][n % 3],
        "ordered_at": _clock(day, n % 24, 5),
        "comment": "" if late or n % 3 else "please ring twice",
    }


def school(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "student_no": 4_000 + chance.randrange(60),
        "subject": "latin" if late else ["maths", "art", "music"][n % 3],
        "grade": ["A", "B", "C", "D"][n % 4],
        "points": 100 if late else chance.randrange(60),
        "marked_on": day,
        "school_year": TODAY.year,
    }


def library(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "loan_id": 990 + n,
        "isbn": ["9783161484100", "9780306406157", "9781861972712"][n % 3],
        "borrowed_on": day,
        "due_on": day + dt.timedelta(days=28),
        "renewals": 7 if late else n % 3,
        "branch": "North" if late else ["Main", "South"][n % 2],
    }


def bank(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "booked_on": day,
        "value_date": day + dt.timedelta(days=1),
        "amount": "-880.00" if late else f"{1 + chance.randrange(90)}.25",
        "balance": "-12.00" if late else f"{500 + n}.00",
        "currency": ["EUR", "CHF"][n % 2],
        "purpose": "rent" if late else ["card", "cash", "wages"][n % 3],
    }


def hotel(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    ahead = day + dt.timedelta(days=40 if late else 3)
    return {
        "booking_id": f"B-{n:06}",
        "room": "501" if late else ["101", "102", "201"][n % 3],
        "check_in": ahead,
        "check_out": ahead + dt.timedelta(days=1 + n % 4),
        "guests": 6 if late else 1 + n % 3,
        "channel": ["web", "phone", "agent"][n % 3],
        "booked_at": _clock(day, 12),
    }


def meters(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "meter_no": f"{n % 4 + 7:08}",
        "read_on": day,
        "reading_kwh": 99_000 + 300 * n,
        "estimated": ["ja", "nein"][n % 2],
    }


def votes(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "precinct": f"{n % 60:04}",
        "party": "New List" if late else ["Red", "Green", "Blue"][n % 3],
        "votes": 4_000 if late else chance.randrange(900),
        "turnout_pct": 40 + chance.randrange(50),
        "year": 2024 if late else 2020,
    }


def parcels(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "parcel": f"PX{n:07}",
        "weight_kg": 31.5 if late else 0.5 + n % 20,
        "lat": 48 + chance.randrange(900) / 1000,
        "lon": 16 + chance.randrange(900) / 1000,
        "scanned_at": f"{day}T{n % 24:02}:30:00+01:00",
        "size": ["S", "M", "L"][n % 3],
    }


def weather(n: int, day: dt.date, late: bool, chance: random.Random) -> Row:
    return {
        "station": "W9" if late else f"W{n % 4}",
        "observed_at": f"{day}T{n % 24:02}:00:00Z",
        "temp_c": -20.5 if late else chance.randrange(0, 250) / 10,
        "pressure_hpa": 1_050 if late else 1_000 + chance.randrange(30),
        "wind": {"deg": n % 360},
        "manual": n % 2 == 0,
    }


TRADES = {
    "payroll": Trade(
        payroll,
        {
            '"Personalnummer" = NULL': "columns.Personalnummer.checks.missing",
            "\"Eintritt\" = '0001-01-01'": "columns.Eintritt.checks.failed_rows",
            "\"Steuerklasse\" = 'x'": "columns.Steuerklasse.checks.invalid",
        },
        absent=("freshness", "Abteilung invalid", "valid_max"),
        key="Personalnummer",
        format="semicolon",
    ),
    "hospital": Trade(
        hospital,
        {
            "visit_id = NULL": "columns.visit_id.checks.missing",
            "patient_id = NULL": "columns.patient_id.checks.missing",
            "discharged_at = admitted_at - interval '1 h'": (
                "columns.discharged_at.checks.failed_rows.after_admitted_at"
            ),
            "triage_level = 'gren'": "columns.triage_level.checks.invalid",
            "admitted_at = '1970-01-01'": "columns.admitted_at.checks.failed_rows",
        },
        absent=("ward invalid", "diagnosis_code invalid", "patient_id invalid", "discharged_at missing"),
        key="visit_id",
    ),
    "sensors": Trade(
        sensors,
        {
            "humidity = 120": "columns.humidity.checks.invalid",
            "ts = now() + interval '3 days'": "columns.ts.checks.failed_rows",
            "status = 'OK?'": "columns.status.checks.invalid",
            "temperature = NULL": "columns.temperature.checks.missing",
        },
        absent=("temperature invalid", "sensor invalid", "valid_length"),
    ),
    "shop": Trade(
        shop,
        {
            "order_id = NULL": "columns.order_id.checks.missing",
            "quantity = -1": "columns.quantity.checks.invalid",
            "unit_price = -0.01": "columns.unit_price.checks.invalid",
            "currency = 'EURO'": "columns.currency.checks.invalid",
            "status = 'pd'": "columns.status.checks.invalid",
            "ordered_at = '1970-01-01'": "columns.ordered_at.checks.failed_rows",
        },
        absent=("town invalid", "valid_max", "comment missing", "comment invalid"),
        key="order_id",
    ),
    "school": Trade(
        school,
        {
            "grade = 'Z'": "columns.grade.checks.invalid",
            "points = -1": "columns.points.checks.invalid",
            "student_no = NULL": "columns.student_no.checks.missing",
            "school_year = 20204": "columns.school_year.checks.invalid",
        },
        absent=("subject invalid",),
    ),
    "library": Trade(
        library,
        {
            "due_on = borrowed_on - 1": "columns.due_on.checks.failed_rows.after_borrowed_on",
            "isbn = '97831614'": "columns.isbn.checks.invalid",
            "borrowed_on = '2999-01-01'": "columns.borrowed_on.checks.failed_rows",
            "renewals = -1": "columns.renewals.checks.invalid",
        },
        absent=("branch invalid", "valid_max"),
        key="loan_id",
    ),
    "bank": Trade(
        bank,
        {
            "currency = 'EURO'": "columns.currency.checks.invalid",
            "amount = NULL": "columns.amount.checks.missing",
            "booked_on = '2999-01-01'": "columns.booked_on.checks.failed_rows",
        },
        absent=("amount invalid", "balance invalid", "purpose invalid"),
    ),
    "hotel": Trade(
        hotel,
        {
            "check_out = check_in - 1": "columns.check_out.checks.failed_rows.after_check_in",
            "guests = -1": "columns.guests.checks.invalid",
            "booking_id = NULL": "columns.booking_id.checks.missing",
            "channel = 'wbe'": "columns.channel.checks.invalid",
        },
        absent=("valid_max",),
        key="booking_id",
    ),
    "meters": Trade(
        meters,
        {
            "reading_kwh = -1": "columns.reading_kwh.checks.invalid",
            "meter_no = '7'": "columns.meter_no.checks.invalid",
            "read_on = NULL": "columns.read_on.checks.missing",
        },
        absent=("valid_max",),
        given="meter_no,read_on",
        key=["meter_no", "read_on"],
    ),
    "votes": Trade(
        votes,
        {
            "votes = -1": "columns.votes.checks.invalid",
            "turnout_pct = 101": "columns.turnout_pct.checks.invalid",
            "year = 20200": "columns.year.checks.invalid",
            "precinct = '7'": "columns.precinct.checks.invalid",
        },
        absent=("party invalid", "freshness"),
    ),
    "parcels": Trade(
        parcels,
        {
            "weight_kg = -1": "columns.weight_kg.checks.invalid",
            "size = 'XXM'": "columns.size.checks.invalid",
        },
        # Where parcels go tells of persons, so that no length is in the contract.
        absent=("parcel invalid",),
    ),
    "weather": Trade(
        weather,
        {
            "observed_at = now() + interval '3 days'": "columns.observed_at.checks.failed_rows",
            "pressure_hpa = -1": "columns.pressure_hpa.checks.invalid",
            "manual = NULL": "columns.manual.checks.missing",
        },
        absent=("temp_c invalid", "station invalid", "valid_max"),
        format="jsonl",
    ),
}


def files(name: str, trade: Trade) -> tuple[str, str]:
    """The file that the scaffold reads, and the one of the next days."""
    chance = random.Random(name)
    numbers = itertools.count()
    past = [TODAY - dt.timedelta(days=back) for back in range(60, LATER - 1, -1)]
    new = [TODAY - dt.timedelta(days=back) for back in range(LATER - 1, -1, -1)]
    return tuple(
        _text([trade.row(next(numbers), day, late, chance) for day in days for _ in range(trade.a_day)], trade.format)
        for days, late in ((past, False), (new, True))
    )


def _text(rows: list[Row], format: str) -> str:
    if format == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=";" if format == "semicolon" else ",", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@dataclass(frozen=True)
class Done:
    declared: dict[str, Any]
    text: str
    path: Path


@pytest.fixture
def scaffolded(atlas_env: Path) -> dict[str, Done]:
    """All trades, scaffolded on their first file; bronze and silver hold both."""
    done = {}
    with create_defs_folder_sandbox() as sandbox:
        for name, trade in TRADES.items():
            first, second = files(name, trade)
            folder = atlas_env / "landing" / name
            folder.mkdir(parents=True)
            ending = "jsonl" if trade.format == "jsonl" else "csv"
            (folder / f"1.{ending}").write_text(first)
            target = sandbox.defs_folder_path / name
            params = {"source": f"{name}/*.{ending}"} | ({"key": trade.given} if trade.given else {})
            scaffold_object(target, DATASET, json.dumps(params), "yaml", sandbox.project_root)
            (folder / f"2.{ending}").write_text(second)
            text = (target / "contract.yml").read_text()
            (atlas_env / f"{name}.yml").write_text(text)
            declared = yaml.safe_load((target / "defs.yaml").read_text())["attributes"]
            done[name] = Done(declared, text, atlas_env / f"{name}.yml")
        job = projects.load(sandbox).resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance)
        evaluations = result.get_asset_check_evaluations()
    assert [(e.asset_key.path, e.check_name, e.description) for e in evaluations if not e.passed] == []
    return done


@pytest.mark.slow
def test_the_next_days_pass_and_real_faults_do_not(
    scaffolded: dict[str, Done], warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    unseen = []
    for name, trade in TRADES.items():
        done = scaffolded[name]
        assert done.declared.get("key") == trade.key, name
        contract = read_contract(done.path)
        silver = sql.Identifier("silver", name)
        for number, (fault, expected) in enumerate(trade.faults.items()):
            table = f"{name}_{number}"
            place = sql.Identifier("staging", table)
            warehouse.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(place, silver))
            statement = f"UPDATE {{place}} SET {fault} WHERE ctid = (SELECT min(ctid) FROM {{place}})"
            warehouse.execute(sql.SQL(statement).format(place=place))
            warehouse.commit()
            failed = [one.check.path for one in verify(contract, warehouse_url, "staging", table) if not one.passed]
            if expected not in failed or len(failed) > 2:
                unseen.append((name, fault, expected, failed))
    assert unseen == [], unseen
    fresh = {name for name in TRADES if "- freshness:" in scaffolded[name].text}
    assert fresh == {
        "hospital",
        "sensors",
        "shop",
        "school",
        "library",
        "bank",
        "hotel",
        "meters",
        "parcels",
        "weather",
    }
    for name, trade in TRADES.items():
        text = scaffolded[name].text
        checks = [line for line in text.splitlines() if line.lstrip().startswith("- ") and "name:" not in line]
        assert [line for line in checks if "  # " not in line] == [], "each check says why it is there"
        kinds = {
            c["name"]: [kind for check in c.get("checks", []) for kind in check]
            for c in yaml.safe_load(text)["columns"]
        }
        for absent in trade.absent:
            column, _, check = absent.rpartition(" ")
            assert check not in (kinds[column] if column else text), (name, absent)
