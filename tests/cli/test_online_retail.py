"""`opswire import online-retail`: what each line of the file is, and what a bad one comes to (D51, D58)."""

import csv
import gzip
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.importers.online_retail import BadRow, Plan, plan, read_rows
from tests.support.command import Done, opswire

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
NOON = "2011-03-01 12:00:00"


def line(
    invoice: str = "536001",
    sku: str = "85123A",
    quantity: object = 2,
    at: str = NOON,
    price: str = "2.55",
    customer: str = "17850",
    title: str = "WHITE HANGING HEART",
) -> tuple[object, ...]:
    return invoice, sku, title, quantity, at, price, customer, "United Kingdom"


@pytest.fixture
def planned(tmp_path: Path) -> Any:
    """The plan of some lines."""

    def make(*lines: Sequence[object], opening: int | None = None) -> Plan:
        return plan(read_rows(write(tmp_path, lines)), opening)

    return make


def write(folder: Path, lines: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    file = folder / "retail.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *lines])
    return file


# what is sold


def test_an_invoice_is_an_order_placed_paid_and_shipped_at_its_first_line(planned: Any) -> None:
    made = planned(
        line(at="2011-03-01 12:05:00"), line(sku="71053", quantity=1, at=NOON), line("536002", customer="")
    )  # fmt: skip
    first, second = made.orders
    assert (first["order_id"], first["origin"], first["currency"]) == ("536001", "online-retail", "GBP")
    assert first["placed_at"] == first["paid_at"] == first["shipped_at"] == "2011-03-01T12:00:00+00:00"
    assert first["customer_id"] == "17850"
    assert first["lines"] == [
        {"sku": "85123A", "quantity": 2, "unit_price_cents": 255},
        {"sku": "71053", "quantity": 1, "unit_price_cents": 255},
    ]
    assert "customer_id" not in second
    summary = made.summary
    assert (summary.orders, summary.order_lines, summary.units, summary.sales_cents) == (2, 3, 5, 5 * 255)


def test_summer_time_is_the_shops(planned: Any) -> None:
    (order,) = planned(line(at="2011-07-01 00:30:00")).orders
    assert order["placed_at"] == "2011-07-01T00:30:00+01:00"


def test_a_line_that_stands_there_twice_was_bought_twice(planned: Any) -> None:
    (order,) = planned(line(), line()).orders
    assert [one["quantity"] for one in order["lines"]] == [2, 2]


def test_a_tenth_of_a_penny_is_rounded_and_shown_apart(planned: Any) -> None:
    made = planned(line(price="0.001", quantity=4))
    assert made.orders[0]["lines"][0]["unit_price_cents"] == 0
    assert (made.summary.sales_cents, made.summary.rounding) == (0, Decimal("0.004"))


def test_half_a_penny_is_rounded_up(planned: Any) -> None:
    assert planned(line(price="1.005")).orders[0]["lines"][0]["unit_price_cents"] == 101


def test_blanks_in_codes_become_underscores_and_services_are_known_as_such(planned: Any) -> None:
    made = planned(
        line(sku="BANK CHARGES"), line(sku="POST"), line(sku="gift_0001_30"), line(sku="85123a", title=""), line()
    )  # fmt: skip
    kinds = {sku["sku"]: sku["kind"] for sku in made.skus}
    assert kinds == {
        "BANK_CHARGES": "service", "POST": "service", "gift_0001_30": "service", "85123a": "goods", "85123A": "goods",
    }  # fmt: skip
    assert {sku["sku"]: sku["title"] for sku in made.skus}["85123a"] == "85123a"
    assert {receipt["sku"] for receipt in made.receipts} == {"85123a", "85123A"}, "services have no stock"


# what comes back


def test_a_cancelled_line_is_a_return_of_the_latest_purchase_with_enough_units(planned: Any) -> None:
    made = planned(
        line("536001", quantity=5),
        line("536002", quantity=2, at="2011-03-02 12:00:00"),
        line("C536003", quantity=-3, at="2011-03-03 12:00:00"),
        line("C536004", quantity=-2, at="2011-03-03 13:00:00"),
        line("C536005", quantity=-2, at="2011-03-03 14:00:00"),
    )
    back = {record["return_id"]: record for record in made.orders if record["type"] == "return"}
    assert {name: record["order_id"] for name, record in back.items()} == {
        "C536003-3": "536001", "C536004-4": "536002", "C536005-5": "536001",
    }  # fmt: skip
    assert back["C536003-3"]["lines"] == [{"sku": "85123A", "quantity": 3}]
    assert back["C536003-3"]["refund"] == {"refund_id": "C536003-3", "amount_cents": 765, "items_cents": 765}
    assert (made.summary.returns_matched, made.summary.returns_unmatched) == (3, 0)


@pytest.mark.parametrize(
    "cancelled",
    [
        line("C536002", quantity=-3, at="2011-03-02 12:00:00"),
        line("C536002", quantity=-2, at="2011-02-28 12:00:00"),
        line("C536002", quantity=-2, at="2011-03-02 12:00:00", customer="99999"),
        line("C536002", quantity=-2, at="2011-03-02 12:00:00", customer=""),
        line("C536002", quantity=-2, at="2011-03-02 12:00:00", sku="OTHER"),
    ],
    ids=["more than was bought", "before it was bought", "by somebody else", "by nobody known", "of something else"],
)
def test_what_fits_no_purchase_is_stock_and_money_on_the_cancellations_number(
    planned: Any, cancelled: tuple[object, ...]
) -> None:
    made = planned(line(), cancelled)
    (adjustment,) = made.found
    assert (adjustment["reason"], adjustment["quantity"]) == ("unmatched_return", -int(str(cancelled[3])))
    (refund,) = [record for record in made.orders if record["type"] == "refund"]
    assert (refund["order_id"], refund["refund_id"]) == ("C536002", "C536002-2")
    assert refund["amount_cents"] == adjustment["quantity"] * 255
    assert made.summary.returns_unmatched == 1


def test_a_cancelled_service_is_money_alone(planned: Any) -> None:
    made = planned(line(sku="POST", price="18.00"), line("C536002", sku="POST", quantity=-1, price="18.00"))
    assert [record["type"] for record in made.orders] == ["order", "refund"]
    assert made.orders[1]["order_id"] == "536001"
    assert made.found == []


# what is neither


def test_lines_without_a_price_are_stock_written_off_found_or_given_away(planned: Any) -> None:
    made = planned(
        line("536001", quantity=-4, price="0.0", customer="", title="damages"),
        line("536002", quantity=6, price="0.0", customer="", title="found"),
        line("536003", quantity=1, price="0.0", customer="17850", title="a present"),
    )
    assert [(a["adjustment_id"], a["reason"], a["quantity"]) for a in [*made.write_offs, *made.found]] == [
        ("536001-1", "write_off", -4), ("536003-3", "correction", -1), ("536002-2", "found", 6),
    ]  # fmt: skip
    assert made.orders == []
    summary = made.summary
    assert (summary.written_off_lines, summary.found_lines, summary.gift_lines) == (1, 1, 1)


def test_bookkeeping_is_counted_and_sent_nowhere(planned: Any) -> None:
    made = planned(
        line("A563185", sku="B", quantity=1, price="11062.06", customer=""),
        line("A563186", sku="B", quantity=1, price="-11062.06", customer=""),
        line("536001", sku="POST", quantity=-1, price="0.0", customer=""),
    )
    assert (made.orders, made.found, made.write_offs) == ([], [], [])
    assert made.summary.bookkeeping_lines == 3


# opening stock


def test_opening_stock_is_what_the_file_needs_at_its_worst_moment(planned: Any) -> None:
    made = planned(
        line("536001", quantity=5),
        line("536002", quantity=3, at="2011-03-02 12:00:00"),
        line("536003", quantity=100, price="0.0", customer="", at="2011-03-03 12:00:00"),
        line("536004", quantity=50, at="2011-03-04 12:00:00"),
    )
    (receipt,) = made.receipts
    assert (receipt["receipt_id"], receipt["quantity"]) == ("opening-85123A", 8)
    assert receipt["occurred_at"] == "2011-03-01T12:00:00+00:00", "at its first line"


def test_opening_stock_by_option_is_the_same_for_all(planned: Any) -> None:
    made = planned(line(), line(sku="71053"), opening=10)
    assert [(r["sku"], r["quantity"]) for r in made.receipts] == [("71053", 10), ("85123A", 10)]
    assert planned(line(), opening=0).receipts == []


# reading


def test_a_gzipped_file_is_read_as_well(tmp_path: Path) -> None:
    plain = write(tmp_path, [line()])
    packed = tmp_path / "retail.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_rows(packed) == read_rows(plain)


BAD: Sequence[tuple[tuple[object, ...], str]] = (
    (line(quantity="two"), "Quantity"),
    (line(quantity="1.5"), "Quantity"),
    (line(quantity=""), "Quantity"),
    (line(quantity=10**12), "Quantity"),
    (line(price="cheap"), "UnitPrice"),
    (line(price="NaN"), "UnitPrice"),
    (line(price="Infinity"), "UnitPrice"),
    (line(price="1e30"), "UnitPrice"),
    (line(at="01/03/2011"), "InvoiceDate"),
    (line(at=""), "InvoiceDate"),
    (line(sku=""), "StockCode"),
    (line(sku="85/123"), "StockCode"),
    (line(sku="x" * 65), "StockCode"),
    (line(invoice=""), "InvoiceNo"),
    (line(invoice="536 001"), "InvoiceNo"),
    (line(customer="x" * 200), "CustomerID"),
)


@pytest.mark.parametrize(("bad", "column"), BAD, ids=[f"{c} {str(b)[:60]}" for b, c in BAD])
def test_a_bad_line_is_told_by_row_and_column(planned: Any, bad: tuple[object, ...], column: str) -> None:
    with pytest.raises(BadRow, match=rf"^row 3, {column}: "):
        planned(line(), line(), bad)


def test_a_line_that_is_cut_off_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"^row 2: 3 columns"):
        read_rows(write(tmp_path, [line(), line()[:3]]))


def test_a_missing_column_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="UnitPrice"):
        read_rows(write(tmp_path, [line()], [name for name in HEADER if name != "UnitPrice"]))


# the command


def imported(file: Path, database: str, *options: str) -> Done:
    return opswire("import", "online-retail", str(file), "--json", *options, OPSWIRE_DATABASE_URL=database)


def test_a_wrong_column_late_in_the_file_sends_nothing(database: str, tmp_path: Path) -> None:
    lines = [line(f"{536_000 + n}") for n in range(3_000)]
    lines[2_949] = line("538949", price="abc")
    done = imported(write(tmp_path, lines), database)
    assert done.code == 1
    assert "row 2950, UnitPrice: 'abc'" in done.err
    assert "nothing was sent" in done.err
    assert opswire("stores", "list", "--json", OPSWIRE_DATABASE_URL=database).good().json["items"] == []


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"\x1f\x8b broken", b"no,such,columns\n1,2,3\n"],
    ids=["empty", "not UTF-8", "not gzip", "other columns"],
)  # fmt: skip
def test_what_is_no_such_file_is_refused_in_words(content: bytes, database: str, tmp_path: Path) -> None:
    file = tmp_path / ("retail.csv.gz" if content.startswith(b"\x1f\x8b") else "retail.csv")
    file.write_bytes(content)
    done = imported(file, database)
    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    assert file.name in done.err


def test_a_dry_run_needs_no_platform_and_tells_what_is_there(tmp_path: Path) -> None:
    done = opswire(
        "import", "online-retail", str(write(tmp_path, [line(), line("C536009", quantity=-2)])), "--dry-run", "--json",
        "--data", str(tmp_path / "nowhere"),
    ).good()  # fmt: skip
    told = done.json
    assert (told["lines"], told["orders"], told["returns_matched"], told["dry_run"]) == (2, 1, 1, True)
