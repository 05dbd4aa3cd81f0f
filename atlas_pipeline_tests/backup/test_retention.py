"""Which backups stay: the rules, and what must hold for any backups, clocks and zones."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.backup.manifest import Backup, BackupClass, DatabaseState, Manifest, Proof
from atlas_pipeline.backup.retention import KEEP_DAYS, Decision, expires_at, retain

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
STATE = DatabaseState({}, {}, (0, ""), {}, {}, {}, {})
DAY = timedelta(days=1)


def backup(
    started: datetime,
    kind: BackupClass = "daily",
    *,
    proofs: str = "+",
    database: str = "app",
    expires: datetime | None = None,
    id: str = "",
) -> Backup:
    """A backup whose proofs held (+) or did not (-)."""
    manifest = Manifest(
        id=id or f"{started:%Y%m%dT%H%M%SZ}-{kind}",
        database=database,
        backup_class=kind,
        started_at=started,
        finished_at=started + timedelta(minutes=10),
        expires_at=expires or expires_at(kind, started),
        engine="pg_dump",
        server_version="18",
        tool_version="18",
        compression="zstd",
        recipients=(),
        excluded=(),
        objects=(),
        state=STATE,
    )
    found = [Proof("verified", started + DAY / 4, 1.0, None if sign == "+" else "a hash differs") for sign in proofs]
    return Backup(manifest, tuple(found))


def names(backups: tuple[Backup, ...] | list[Backup]) -> set[tuple[str, str]]:
    return {(one.manifest.database, one.manifest.id) for one in backups}


moments = st.integers(0, 120 * 24).map(lambda hours: NOW - timedelta(hours=hours))
kinds = st.sampled_from(list(KEEP_DAYS))


def some(databases: tuple[str, ...] = ("app", "app_test"), least: int = 0) -> st.SearchStrategy[list[Backup]]:
    one = st.builds(
        lambda started, kind, proofs, database, number: backup(
            started, kind, proofs=proofs, database=database, id=f"{started:%Y%m%dT%H%M%SZ}-{kind}-{number:06x}"
        ),
        moments,
        kinds,
        st.sampled_from(["", "+", "-", "+-", "-+"]),
        st.sampled_from(databases),
        st.integers(0, 0xFFFFFF),
    )
    return st.lists(one, min_size=least, max_size=25, unique_by=lambda one: one.manifest.id)


def daily(days: int, until: datetime = NOW) -> list[Backup]:
    return [backup(until - DAY * day) for day in range(days)]


def test_what_has_expired_goes_and_the_rest_stays() -> None:
    backups = daily(32)
    decision = retain(backups, NOW)
    assert decision.delete == tuple(backups[30:])
    assert decision.keep == tuple(backups[:30])
    assert decision.refused is None
    assert decision.reasons["app", backups[0].manifest.id] == "the newest verified backup"
    assert decision.reasons["app", backups[29].manifest.id] == "kept until 2026-11-23 02:00 UTC"
    assert f"and {backups[0].manifest.id} is newer and verified" in decision.reasons["app", backups[31].manifest.id]


def test_nothing_is_deleted_where_nothing_is_verified() -> None:
    backups = [replace(one, proofs=()) for one in daily(40)]
    decision = retain(backups, NOW)
    assert not decision.delete
    assert decision.refused is None


def test_the_newest_verified_outlives_forty_failing_days() -> None:
    good = [backup(NOW - DAY * day) for day in range(40, 45)]
    bad = [backup(NOW - DAY * day, proofs="-") for day in range(40)]
    decision = retain(good + bad, NOW)
    assert names(decision.delete) == names(good[1:])
    for later in range(0, 3000, 50):
        bad.append(backup(NOW + DAY * later, proofs="-"))
        assert good[0] in retain([good[0], *bad], NOW + DAY * later).keep


def test_forty_days_without_any_backup_keep_the_newest_verified() -> None:
    good = daily(3, NOW - DAY * 40)
    decision = retain(good, NOW)
    assert len(decision.keep) == 3
    assert "2 of 3 have expired" in (decision.refused or "")
    assert retain(good, NOW, confirmed=True).keep == (good[0],)


def test_an_unverified_one_goes_only_after_a_newer_verified_one() -> None:
    old, middle, new = (backup(NOW - DAY * day, "staging", proofs="") for day in (20, 10, 1))
    assert not retain([old, middle, new], NOW).delete
    checked = replace(middle, proofs=(Proof("verified", NOW, 1.0),))
    assert retain([old, checked, new], NOW).delete == (old,)


def test_a_backup_that_failed_a_later_verification_is_no_reason_to_delete() -> None:
    backups = [backup(NOW - DAY * 60, id="old"), backup(NOW - DAY, proofs="+-"), backup(NOW, proofs="")]
    assert not retain(backups, NOW).delete


def test_a_manual_backup_is_kept_as_long_as_was_asked_for() -> None:
    kept = backup(NOW - DAY * 200, "manual", expires=NOW + DAY)
    short = backup(NOW - DAY * 3, "manual", expires=NOW - DAY)
    decision = retain([*daily(5), kept, short], NOW)
    assert decision.delete == (short,)


@pytest.mark.parametrize(("total", "expired", "refused"), [(2, 1, False), (3, 2, True), (4, 2, False), (31, 16, True)])
def test_more_than_half_at_once_is_refused(total: int, expired: int, refused: bool) -> None:
    backups = daily(total - expired) + [backup(NOW - DAY * (60 + day)) for day in range(expired)]
    decision = retain(backups, NOW)
    assert len(decision.delete) == (0 if refused else expired)
    assert len(decision.keep) == (total if refused else total - expired)
    assert bool(decision.refused) == refused
    if refused:
        assert f"{expired} of {total} have expired" in (decision.refused or "")
        assert "kept, since deleting was refused" in decision.reasons["app", backups[-1].manifest.id]
        assert len(retain(backups, NOW, confirmed=True).delete) == expired


def test_a_refusal_for_one_database_does_not_stop_another() -> None:
    other = [backup(one.manifest.started_at, database="app_test") for one in daily(32)]
    decision = retain([*daily(1), *daily(5, NOW - DAY * 60), *other], NOW)
    assert {one.manifest.database for one in decision.delete} == {"app_test"}
    assert len(decision.delete) == 2
    assert (decision.refused or "").startswith("no backup of app was deleted")


@pytest.mark.parametrize("jump", [DAY * 3652, -DAY * 3652, DAY * 46, timedelta(hours=-2)])
def test_a_clock_that_jumped_deletes_nothing(jump: timedelta) -> None:
    decision = retain(daily(35), NOW + jump)
    assert not decision.delete
    assert len(decision.keep) == 35
    assert "clock" in (decision.refused or "")


@pytest.mark.parametrize("drift", [timedelta(minutes=-49), DAY])
def test_a_clock_that_is_off_a_little_is_believed(drift: timedelta) -> None:
    assert retain(daily(35), NOW + drift).refused is None


def test_a_backup_made_after_the_jump_does_not_vouch_for_the_clock() -> None:
    ahead = NOW + DAY * 3652
    backups = [*daily(3), *(backup(ahead - DAY * day) for day in range(5))]
    assert len(retain(backups, ahead).delete) == 3, "without another witness it does"
    decision = retain(backups, ahead, last_seen=NOW)
    assert not decision.delete
    assert "3652 days" in (decision.refused or "")
    assert len(retain(backups, ahead, last_seen=NOW, confirmed=True).delete) == 3


def test_failing_for_months_is_no_jump_of_the_clock() -> None:
    backups = [backup(NOW - DAY * day, "weekly") for day in range(50, 100, 7)]
    assert "49 days before the clock's" in (retain(backups, NOW).refused or "")
    decision = retain(backups, NOW, last_seen=NOW - DAY)
    assert decision.refused is None
    assert names(decision.delete) == names(backups[6:])


def test_no_backups_no_decision() -> None:
    assert retain([], NOW, last_seen=NOW - DAY * 500) == Decision((), (), {}, None)


@given(some(), st.integers(-2, 400), st.booleans())
def test_the_newest_verified_is_never_deleted(backups: list[Backup], days: int, confirmed: bool) -> None:
    decision = retain(backups, NOW + DAY * days, confirmed=confirmed)
    assert names(decision.keep).isdisjoint(names(decision.delete))
    assert names(decision.keep) | names(decision.delete) == names(backups) == set(decision.reasons)
    for database in ("app", "app_test"):
        verified = [one for one in backups if one.manifest.database == database and one.verified]
        if verified:
            newest = max(verified, key=lambda one: (one.manifest.started_at, one.manifest.id))
            assert newest in decision.keep
            assert all(
                one.manifest.started_at <= newest.manifest.started_at
                for one in decision.delete
                if one.manifest.database == database
            )
        else:
            assert all(one.manifest.database != database for one in decision.delete)
    assert all(one.manifest.expires_at <= NOW + DAY * days for one in decision.delete)


@given(some(), st.integers(0, 400), st.booleans())
def test_what_was_kept_stays(backups: list[Backup], days: int, confirmed: bool) -> None:
    now = NOW + DAY * days
    first = retain(backups, now, last_seen=now, confirmed=confirmed)
    again = retain(first.keep, now, last_seen=now, confirmed=confirmed)
    assert not again.delete
    assert again.keep == first.keep


@given(some(("app",)), some(("app_test",)), st.integers(0, 300))
def test_databases_do_not_influence_each_other(app: list[Backup], test: list[Backup], days: int) -> None:
    now = NOW + DAY * days
    both = retain(app + test, now, last_seen=now)
    apart = retain(app, now, last_seen=now).delete + retain(test, now, last_seen=now).delete
    assert both.delete == apart


@given(some(), st.randoms(use_true_random=False), st.integers(0, 300))
def test_the_order_does_not_matter(backups: list[Backup], shuffle: random.Random, days: int) -> None:
    shuffled = list(backups)
    shuffle.shuffle(shuffled)
    assert retain(shuffled, NOW + DAY * days) == retain(backups, NOW + DAY * days)


ZONES = ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """A time zone, which is that of the process too."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield ZoneInfo(request.param)
    time.tzset()


def moved(one: Backup, zone: ZoneInfo) -> Backup:
    """The same backup, its moments told in another zone."""
    manifest = one.manifest
    told = {name: getattr(manifest, name).astimezone(zone) for name in ("started_at", "finished_at", "expires_at")}
    return replace(one, manifest=replace(manifest, **told))


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),  # Berlin's clocks show 2:30 twice that night
        datetime(2027, 3, 28, 1, 30, tzinfo=UTC),  # and never on this one
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),  # New York
        datetime(2028, 2, 29, 23, 59, tzinfo=UTC),
        datetime(2028, 3, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 30, tzinfo=UTC),  # ISO week 53
        datetime(2027, 1, 3, 23, 30, tzinfo=UTC),
    ],
)
def test_the_same_is_kept_in_every_zone(zone: ZoneInfo, now: datetime) -> None:
    backups = [backup(now - timedelta(hours=hours), "daily") for hours in range(0, 24 * 33)]
    backups += [backup(now - timedelta(hours=hours), "weekly") for hours in range(24 * 89, 24 * 91)]
    expected = names(retain(backups, now).delete)
    assert len(expected) == 24 * 3 + 24
    assert names(retain([moved(one, zone) for one in backups], now.astimezone(zone)).delete) == expected
    unzoned = [
        replace(one, manifest=replace(one.manifest, expires_at=one.manifest.expires_at.replace(tzinfo=None)))
        for one in backups
    ]
    assert names(retain(unzoned, now.replace(tzinfo=None)).delete) == expected


def test_the_second_of_two_equal_hours_is_later() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))
    due = backup(first - DAY, "manual", expires=second)
    newer = backup(first - DAY / 2)
    assert not retain([due, newer], first).delete
    assert retain([due, newer], second).delete == (due,)


@pytest.mark.parametrize(
    ("kind", "days"), [("daily", 30), ("weekly", 90), ("monthly", 365), ("staging", 7), ("manual", 30)]
)
def test_each_class_has_its_days(kind: BackupClass, days: int) -> None:
    started = datetime(2028, 2, 29, 1, tzinfo=timezone(timedelta(hours=14)))
    assert expires_at(kind, started) == started + timedelta(days=days)
    assert expires_at(kind, started).tzinfo is UTC


def test_days_are_of_24_hours_when_clocks_change() -> None:
    started = datetime(2026, 10, 24, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert expires_at("staging", started) == datetime(2026, 10, 31, 10, tzinfo=UTC)


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_days_that_make_no_sense_are_refused(days: int) -> None:
    with pytest.raises(ValueError, match=f"daily backups cannot be kept for {days} days"):
        expires_at("daily", NOW, {**KEEP_DAYS, "daily": days})


def test_three_years_of_nights_are_never_refused() -> None:
    """Daily backups, each Sunday's a weekly one and each first of a month a monthly one, through a leap day."""
    kept: tuple[Backup, ...] = ()
    night = datetime(2026, 1, 1, 2, tzinfo=UTC)
    for day in range(3 * 366):
        now = night + DAY * day
        kind: BackupClass = "monthly" if now.day == 1 else "weekly" if now.isoweekday() == 7 else "daily"
        decision = retain([*kept, backup(now, kind)], now, last_seen=now - DAY)
        assert decision.refused is None
        assert len(decision.delete) <= 3, "at most one of each class"
        kept = decision.keep
    by_class = [one.manifest.backup_class for one in kept]
    assert (by_class.count("monthly"), by_class.count("weekly")) == (12, 13)
    assert 24 <= by_class.count("daily") <= 26
