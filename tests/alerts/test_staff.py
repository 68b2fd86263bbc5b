"""Who is responsible when: shifts, deputies, absence, and the way up (STF-1, ALR-12)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.alerts.domain.people import Staff, person_of, rota_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = "2024-07-01"


def at(clock: str, day: str = MONDAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00+08:00").astimezone(UTC)


def staff(people: dict[str, dict[str, object]], *rotas: dict[str, object], zone: ZoneInfo = SHANGHAI) -> Staff:
    named = {key: person_of(key, {"name": key, **value}) for key, value in people.items()}
    return Staff(named, [rota_of(f"r{n}", rota) for n, rota in enumerate(rotas)], zone)


def shift(weekday: str, begins: str, ends: str, person: str) -> dict[str, str]:
    return {"weekday": weekday, "from": begins, "to": ends, "person": person}


TEAM: dict[str, dict[str, object]] = {
    "chen": {"role": "lead"},
    "li": {"role": "specialist"},
    "wang": {"role": "specialist"},
}


def test_a_store_without_people_has_no_owner() -> None:
    assert staff({}).owner_for("specialist", at("10:00")) is None
    assert staff({}).next_up("specialist", 0, None, at("10:00")) is None


def test_the_person_on_shift_is_the_owner() -> None:
    team = staff(TEAM, {"role": "specialist", "shifts": [shift("mon", "09:00", "18:00", "wang")]})
    assert team.owner_for("specialist", at("09:00")) == "wang"
    assert team.owner_for("specialist", at("17:59")) == "wang"


def test_outside_every_shift_the_lead_is() -> None:
    team = staff(TEAM, {"role": "specialist", "shifts": [shift("mon", "09:00", "18:00", "wang")]})
    assert team.owner_for("specialist", at("18:00")) == "chen"


def test_a_night_shift_ends_on_the_next_morning() -> None:
    team = staff(TEAM, {"role": "specialist", "shifts": [shift("mon", "22:00", "06:00", "wang")]})
    assert team.owner_for("specialist", at("23:30")) == "wang"
    assert team.owner_for("specialist", at("05:59", "2024-07-02")) == "wang"
    assert team.owner_for("specialist", at("05:59")) == "chen"


def test_a_shift_to_the_end_of_the_day_is_written_24_00() -> None:
    team = staff(TEAM, {"role": "specialist", "shifts": [shift("mon", "18:00", "24:00", "wang")]})
    assert team.owner_for("specialist", at("23:59")) == "wang"
    assert team.owner_for("specialist", at("00:00", "2024-07-02")) == "chen"


def test_without_a_rota_everybody_of_the_role_answers() -> None:
    assert staff(TEAM).owner_for("specialist", at("03:00")) == "li"


def test_a_role_that_nobody_has_falls_to_the_lead() -> None:
    assert staff(TEAM).owner_for("logistics", at("10:00")) == "chen"


def test_without_a_lead_it_falls_to_anybody() -> None:
    assert staff({"li": {"role": "designer"}}).owner_for("service", at("10:00")) == "li"


def away(*days: str) -> list[dict[str, str]]:
    return [{"from": days[0], "to": days[-1]}]


def test_for_an_absent_person_stands_the_deputy_and_for_both_the_lead() -> None:
    rota: dict[str, object] = {"role": "specialist", "shifts": [shift("mon", "00:00", "24:00", "wang")]}
    one = staff({**TEAM, "wang": {"role": "specialist", "deputy": "li", "absent": away(MONDAY)}}, rota)
    assert one.owner_for("specialist", at("00:00")) == "li"
    people: dict[str, dict[str, object]] = {
        **TEAM,
        "wang": {"role": "specialist", "deputy": "li", "absent": away(MONDAY)},
    }
    people["li"] = {"role": "specialist", "absent": away("2024-06-28", MONDAY)}
    assert staff(people, rota).owner_for("specialist", at("23:59")) == "chen"


def test_absence_may_be_told_to_the_minute() -> None:
    hours = [{"from": "2024-07-01T12:00:00+08:00", "to": "2024-07-01T14:00:00+08:00"}]
    team = staff({"wang": {"role": "specialist", "absent": hours}, "chen": {"role": "lead"}})
    owners = [team.owner_for("specialist", at(clock)) for clock in ("11:59", "12:00", "13:59", "14:00")]
    assert owners == ["wang", "chen", "chen", "wang"]


def test_deputies_in_a_circle_who_are_all_away_end_at_the_lead() -> None:
    gone = away(MONDAY)
    people: dict[str, dict[str, object]] = {
        "li": {"role": "specialist", "deputy": "wang", "absent": gone},
        "wang": {"role": "specialist", "deputy": "li", "absent": gone},
        "chen": {"role": "lead"},
    }
    assert staff(people).owner_for("specialist", at("10:00")) == "chen"


def test_an_incident_goes_up_step_by_step_and_never_to_who_has_it() -> None:
    team = staff(TEAM, {"role": "specialist", "shifts": [], "escalate_to": ["wang", "gone", "li"]})
    assert team.next_up("specialist", 0, "wang", at("10:00")) == ("li", 2)
    assert team.next_up("specialist", 0, "li", at("10:00")) == ("wang", 1)
    assert team.next_up("specialist", 2, "li", at("10:00")) == ("chen", 3)
    assert team.next_up("specialist", 3, "chen", at("10:00")) is None


@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03"])
def test_a_shift_keeps_the_clock_on_days_when_it_is_changed(day: str) -> None:
    zone = ZoneInfo("America/New_York")
    team = staff(TEAM, {"role": "specialist", "shifts": [shift("sun", "09:00", "17:00", "wang")]}, zone=zone)
    local = datetime.fromisoformat(f"{day}T09:00:00").replace(tzinfo=zone)
    assert team.owner_for("specialist", local) == "wang"
    assert team.owner_for("specialist", local.replace(hour=8, minute=59)) == "chen"
