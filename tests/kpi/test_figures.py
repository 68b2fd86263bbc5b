from services.kpi.calendar import calendar_of
from services.kpi.figures import (
    EVERY_GRAIN,
    EXPANSIONS,
    NUMBERS,
    BucketsOf,
    Cell,
    Place,
    cells_of,
    difference,
    measure_of,
    number_of,
)
from services.kpi.kpis import MEASURE, MEASURES


def test_every_measure_has_a_number_and_every_number_a_measure() -> None:
    assert set(NUMBERS) == {measure.name for measure in MEASURES if not (measure.of or measure.counted_when_asked)}


def test_numbers_of_measures_never_change() -> None:
    assert (NUMBERS["pv"], NUMBERS["uv"], NUMBERS["orders_placed"], NUMBERS["cohort_repurchased_30d"]) == (0, 1, 14, 51)
    assert (NUMBERS["conversations"], NUMBERS["askers_who_paid"], NUMBERS["orders_delivered_wrong"]) == (52, 68, 78)


def test_a_money_measure_carries_its_currency_in_its_number() -> None:
    for currency in ("CNY", "GBP", "AAA", "ZZZ"):
        assert measure_of(number_of("gmv", currency)) == ("gmv", currency)
    assert number_of("gmv", "CNY") != number_of("gmv", "USD")
    assert measure_of(number_of("uv")) == ("uv", "")


def test_the_catalogue_says_what_is_kept() -> None:
    visits = {by for by, _ in (*EXPANSIONS["visit"], *EXPANSIONS["sku"], *EXPANSIONS["category"])}
    orders = {by for by, _ in (*EXPANSIONS["order"], *EXPANSIONS["sku"], *EXPANSIONS["category"])}
    assert {",".join(names) for names in MEASURE["uv"].kept} == visits
    assert {",".join(names) for names in MEASURE["gmv"].kept} == orders
    assert {",".join(names) for names in MEASURE["sessions"].kept} == {by for by, _ in EXPANSIONS["visit"]}
    assert {",".join(names) for names in MEASURE["orders_shipped"].kept} == {by for by, _ in EXPANSIONS["order"]}


def test_a_contribution_of_every_grain_counts_in_hour_day_week_and_month() -> None:
    calendar = calendar_of("Asia/Shanghai")
    hour = calendar.named("2024-07-01T10").second
    place = Place("s", EVERY_GRAIN, hour, ("sku", "paid", "A1"))
    cells = cells_of({place: {0: 2}}, BucketsOf({"s": calendar}))
    assert {(cell.grain, cell.by) for cell in cells} == {
        (grain, by) for grain in ("hour", "day", "week", "month") for by in ("sku", "channel,sku")
    }
    assert cells[Cell("s", "week", "sku", calendar.named("2024-W27").second, "A1")] == {0: 2}


def test_a_profile_without_a_value_is_not_in_its_cells() -> None:
    place = Place("s", "day", 0, ("visit", "paid", None, None, "phone"))
    found = {cell.by for cell in cells_of({place: {0: 1}}, BucketsOf({}))}
    assert found == {"", "channel", "device", "channel,device"}


def test_what_did_not_change_is_no_difference() -> None:
    place = Place("s", "day", 0, ("total",))
    assert difference({place: {0: 1, 1: 2}}, {place: {0: 1, 1: 5}}) == {place: {1: -3}}
    assert difference({place: {0: 1}}, {place: {0: 1}}) == {}
