"""Files of orders that were sold elsewhere (D6, D51, D54, D83)."""

import csv
import io
import json
from datetime import datetime
from typing import Any

import httpx2
import pytest
import xlsxwriter

from libs.service import sheets
from tests.orders.conftest import Shop, accepted, refused

JSONL = "application/x-ndjson"
CHINESE = "订单号,下单时间,付款时间,客户编号,商品编码,数量,单价,币种,平台,物流公司,运单号"


def row(order_id: str, sku: Any = "A001", quantity: Any = 1, **changes: Any) -> dict[str, Any]:
    """A row of a file, as JSON."""
    plain = {
        "order_id": order_id,
        "placed_at": "2024-06-01T10:00:00+08:00",
        "sku": sku,
        "quantity": quantity,
        "unit_price_cents": 100,
        "origin": "tmall",
        "currency": "CNY",
        **changes,
    }
    return {name: value for name, value in plain.items() if value is not None}


SHIPPED: dict[str, Any] = {"paid_at": "2024-06-01T10:05:00+08:00", "carrier": "SF", "tracking_number": "SF1"}


def lines(*records: object) -> bytes:
    return b"\n".join(json.dumps(record, ensure_ascii=False).encode() for record in records)


async def send(shop: Shop, content: bytes, media_type: str = JSONL, **params: Any) -> httpx2.Response:
    async with shop.client() as client:
        return await client.post(
            "/v1/imports/orders", params=params, content=content, headers={"Content-Type": media_type}
        )


def places(problem: dict[str, Any]) -> list[tuple[int, str]]:
    return [(error["row"], error["column"]) for error in problem["errors"]]


# what comes in


async def test_rows_of_an_order_become_one_order_that_is_paid_and_shipped(shop: Shop) -> None:
    asked = len(shop.shelf.calls)
    body = accepted(
        await send(shop, lines(row("i-1", quantity=2, **SHIPPED), row("i-1", "B002", **SHIPPED)), import_id="imp-1")
    )
    assert (body["import_id"], body["rows"], body["orders"], body["new"], body["errors"]) == ("imp-1", 2, 1, 1, [])
    order = accepted(await shop.get("/v1/orders/i-1"))
    assert (order["status"], order["total_cents"], order["paid_cents"]) == ("shipped", 300, 300)
    assert [(line["sku"], line["shipped"]) for line in order["lines"]] == [("A001", 2), ("B002", 1)]
    assert order["shipments"][0]["tracking_number"] == "SF1"
    assert len(shop.shelf.calls) == asked, "nobody is asked for the stock of facts"


async def test_every_event_has_its_own_time_and_the_import(shop: Shop) -> None:
    accepted(await send(shop, lines(row("i-told", **SHIPPED)), import_id="imp-2"))
    told = await shop.events("i-told")
    assert [e.type for e in told] == [
        "order.placed.v1",
        "order.reviewed.v1",
        "payment.succeeded.v1",
        "order.paid.v1",
        "shipment.created.v1",
    ]
    assert {e.import_id for e in told} == {"imp-2"}
    placed, paid = (datetime.fromisoformat(t) for t in ("2024-06-01T10:00:00+08:00", "2024-06-01T10:05:00+08:00"))
    assert [e.time for e in told] == [placed, placed, paid, paid, paid]


async def test_the_same_file_again_changes_nothing(shop: Shop) -> None:
    content = lines(row("i-again", **SHIPPED), row("i-again-2"))
    accepted(await send(shop, content))
    before = len(await shop.events())
    body = accepted(await send(shop, content))
    assert (body["orders"], body["new"], body["changed"], body["unchanged"]) == (2, 0, 0, 2)
    assert len(await shop.events()) == before


async def test_a_file_that_knows_more_takes_an_order_further(shop: Shop) -> None:
    accepted(await send(shop, lines(row("i-more"))))
    order = accepted(await shop.get("/v1/orders/i-more"))
    assert (order["status"], order["review"]["reasons"]) == ("placed", ["consignee_missing", "sku_unknown"])
    body = accepted(await send(shop, lines(row("i-more", **SHIPPED))))
    assert (body["new"], body["changed"]) == (0, 1)
    order = accepted(await shop.get("/v1/orders/i-more"))
    assert (order["status"], order["version"], order["review"]["by"]) == ("shipped", 2, "import")
    assert await shop.sql("SELECT 1 FROM orders.timers WHERE order_id = 'i-more'") == []


async def test_parcels_follow_their_tracking_numbers(shop: Shop) -> None:
    second = {**SHIPPED, "tracking_number": "SF2"}
    third = {"paid_at": SHIPPED["paid_at"]}
    content = lines(row("i-parts", **SHIPPED), row("i-parts", "B002", **second), row("i-parts", "C003", **third))
    accepted(await send(shop, content))
    order = accepted(await shop.get("/v1/orders/i-parts"))
    assert (order["status"], [s["tracking_number"] for s in order["shipments"]]) == ("partly_shipped", ["SF1", "SF2"])


async def test_whole_orders_come_as_they_are_placed_by_a_call(shop: Shop) -> None:
    order = {
        "order_id": "i-whole",
        "origin": "tmall",
        "currency": "CNY",
        "customer_id": "13800005678",
        "placed_at": "2024-06-01T10:00:00+08:00",
        "lines": [{"sku": "A 1", "quantity": 2, "unit_price_cents": 100, "discount_cents": 50}],
        "shipping_cents": 10,
        "total_cents": 160,
        "consignee": {"name": "张三", "phone": "13800005678"},
        "paid_at": "2024-06-01T10:00:00+08:00",
    }
    accepted(await send(shop, lines(order)))
    made = accepted(await shop.get("/v1/orders/i-whole"))
    assert (made["status"], made["total_cents"], made["lines"][0]["sku"]) == ("paid", 160, "A_1")
    assert (made["customer_id"][:2], made["consignee"]["phone"]) == ("h_", "138****5678")


async def test_returns_and_refunds_come_with_the_orders_or_after_them(shop: Shop) -> None:
    back = {
        "type": "return",
        "return_id": "i-back-r",
        "order_id": "i-back",
        "at": "2024-06-03T10:00:00+08:00",
        "lines": [{"sku": "A001", "quantity": 1}],
        "reason": "cancelled",
        "refund": {"amount_cents": 100},
    }
    first = accepted(await send(shop, lines(row("i-back", quantity=2, **SHIPPED), back)))
    assert (first["orders"], first["returns"]) == (1, 1)
    more = {**back, "return_id": "i-back-r2", "refund": None}
    later = accepted(await send(shop, lines({k: v for k, v in more.items() if v is not None})))
    assert (later["orders"], later["returns"], later["changed"]) == (0, 1, 1)
    order = accepted(await shop.get("/v1/orders/i-back"))
    assert (order["lines"][0]["returned"], order["refunded_cents"]) == (2, 100)
    assert [item["status"] for item in order["returns"]] == ["refunded", "inspected"]
    assert (await shop.types("i-back"))[5:10] == [
        "return.requested.v1",
        "return.approved.v1",
        "return.received.v1",
        "return.inspected.v1",
        "refund.issued.v1",
    ]
    again = accepted(await send(shop, lines(back)))
    assert again["unchanged"] == 1


async def test_a_refund_of_an_order_never_seen_is_told_all_the_same(shop: Shop) -> None:
    money = {
        "type": "refund",
        "refund_id": "C-7-1",
        "order_id": "C-7",
        "at": "2024-06-03T10:00:00Z",
        "amount_cents": 500,
    }
    assert accepted(await send(shop, lines(money)))["refunds"] == 1
    (told,) = await shop.events("C-7")
    assert (told.type, told.data.amount_cents, told.data.items_cents, told.data.currency) == (
        "refund.issued.v1",
        500,
        500,
        "CNY",
    )
    accepted(await send(shop, lines(money)))
    assert len(await shop.events("C-7")) == 1


async def test_an_order_of_the_import_is_a_conflict_for_a_call(shop: Shop) -> None:
    accepted(await send(shop, lines(row("i-taken"))))
    body = {"order_id": "i-taken", "origin": "tmall", "currency": "CNY", "lines": [_line()]}
    refused(await shop.post("/v1/orders", body), 409, "conflict")


def _line() -> dict[str, Any]:
    return {"sku": "A001", "quantity": 1, "unit_price_cents": 100}


# tables


def chinese_table(encoding: str) -> bytes:
    text = f"{CHINESE}\nt-1,2024-06-01 10:00:00,2024-06-01 10:05,c-1,A 001,2,78.50,CNY,天猫,顺丰,SF77\n"
    return text.encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_chinese_table_is_read_in_its_encodings(shop: Shop, encoding: str) -> None:
    content = chinese_table(encoding).replace(b"t-1", f"t-{encoding}".encode())
    accepted(await send(shop, content, "text/csv"))
    order = accepted(await shop.get(f"/v1/orders/t-{encoding}"))
    assert (order["origin"], order["total_cents"], order["lines"][0]["sku"]) == ("天猫", 15_700, "A_001")
    assert order["placed_at"] == "2024-06-01T10:00:00+08:00", "times without an offset are the store's"
    assert (order["status"], order["shipments"][0]["carrier"]) == ("shipped", "顺丰")


def workbook(*rows: list[Any]) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"})
    sheet = book.add_worksheet()
    for number, cells in enumerate(rows):
        sheet.write_row(number, 0, cells)
    book.close()
    return file.getvalue()


@pytest.mark.parametrize(
    "at", ["0024-06-01 10:00", "9999-12-31 23:59", "01.06.2024", "2024-13-01", "10:00", "1717207200"]
)
async def test_a_time_that_cannot_be_is_named(shop: Shop, at: str) -> None:
    table = f"order_id,placed_at,sku,quantity,unit_price\nt-time,{at},A1,1,1\n".encode()
    problem = refused(await send(shop, table, "text/csv"), 422, "validation")
    assert places(problem) == [(1, "placed_at")]


async def test_a_workbook_and_an_uploaded_file_are_read(shop: Shop) -> None:
    header = ["order_id", "placed_at", "sku", "quantity", "unit_price"]
    content = workbook(header, [536365, datetime.fromisoformat("2024-06-01T10:00"), 71053, 6, 3.39])
    accepted(await send(shop, content, sheets.XLSX))
    order = accepted(await shop.get("/v1/orders/536365"))
    assert (order["lines"][0]["sku"], order["total_cents"]) == ("71053", 2_034)
    assert order["placed_at"] == "2024-06-01T10:00:00+08:00"
    async with shop.client() as client:
        upload = {
            "file": ("orders.csv", chinese_table("gb18030").replace(b"t-1", b"t-upload"), "application/vnd.ms-excel")
        }
        accepted(await client.post("/v1/imports/orders", files=upload))
    assert accepted(await shop.get("/v1/orders/t-upload"))["customer_id"] == "c-1"


# dry runs, partial imports, errors


async def test_a_dry_run_tells_and_keeps_nothing(shop: Shop) -> None:
    response = await send(shop, lines(row("d-1"), row("d-2", quantity=0)), dry_run="true")
    body = accepted(response)
    assert (response.status_code, body["dry_run"], body["orders"], body["error_count"]) == (200, True, 1, 1)
    assert places(body) == [(2, "quantity")]
    refused(await shop.get("/v1/orders/d-1"), 404, "not_found")
    assert await shop.events("d-1") == []


async def test_any_error_imports_nothing_unless_the_good_orders_are_wanted(shop: Shop) -> None:
    content = lines(row("e-good"), row("e-bad"), row("e-bad", "B002", quantity=-1))
    problem = refused(await send(shop, content), 422, "validation")
    assert places(problem) == [(3, "quantity")]
    assert "row 3" in problem["detail"]
    refused(await shop.get("/v1/orders/e-good"), 404, "not_found")
    body = accepted(await send(shop, content, partial="true"))
    assert (body["orders"], body["error_count"]) == (1, 1)
    accepted(await shop.get("/v1/orders/e-good"))
    refused(await shop.get("/v1/orders/e-bad"), 404, "not_found")


RETURN_OF_NOTHING = {
    "type": "return",
    "return_id": "r",
    "order_id": "nowhere",
    "at": "2024-06-01T10:00:00Z",
    "lines": [{"sku": "A", "quantity": 1}],
}
BAD = [
    (row("b", currency="yuan"), "currency"),
    (row("b", placed_at="2024-06-01T10:00:00"), "placed_at"),
    (row("b", paid_at="2034-06-01T10:00:00Z"), "paid_at"),
    (row("b", quantity="1"), "quantity"),
    (row("b", colour="red"), "colour"),
    (row("b", unit_price=1.005, unit_price_cents=None), "unit_price"),
    (row("b", origin="storefront"), "origin"),
    (row("b", tracking_number="SF1"), "paid_at"),
    (row("x" * 111), "order_id"),
    (row("b", sku="a/b"), "sku"),
    ({"type": "gift"}, "type"),
    (7, ""),
    (RETURN_OF_NOTHING, ""),
    (row("b", lines=[_line()], sku=None, quantity=None, unit_price_cents=None, total_cents=7), "total_cents"),
    (row("b", lines=[_line()], sku=None, quantity=None, unit_price_cents=None, hold_minutes=7), "hold_minutes"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "column"), BAD)
async def test_what_is_wrong_in_a_file_is_named_by_row_and_column(shop: Shop, record: object, column: str) -> None:
    problem = refused(await send(shop, lines(row("b-good"), record)), 422, "validation")
    assert (2, column) in places(problem)
    refused(await shop.get("/v1/orders/b-good"), 404, "not_found")


async def test_an_order_from_the_future_is_quarantined_with_its_money_and_the_rest_comes_in(shop: Shop) -> None:
    content = lines(row("q-now"), row("q-late", quantity=3, placed_at="2034-06-01T10:00:00Z"), row("q-late", "B002"))
    problem = refused(await send(shop, content), 422, "validation")
    assert (3, "placed_at") in places(problem), "rows of one order must agree, in the future too"
    content = lines(row("q-now"), row("q-late", quantity=3, placed_at="2034-06-01T10:00:00Z"))
    dry = accepted(await send(shop, content, dry_run="true"))
    assert (dry["orders"], dry["quarantined_count"], await shop.types("q-late")) == (1, 1, [])
    for _ in range(2):
        body = accepted(await send(shop, content))
        assert (body["orders"], body["errors"]) == (1, [])
        assert body["quarantined"] == [{"row": 2, "order_id": "q-late", "placed_at": "2034-06-01T18:00:00+08:00"}]
    refused(await shop.get("/v1/orders/q-late"), 404, "not_found")
    told = await shop.events("q-late")
    assert {(e.id, e.type, e.data.total_cents) for e in told} == {(told[0].id, "order.placed.v1", 300)}
    assert told[0].time > told[0].recorded_time


async def refusals(shop: Shop, content: bytes, media_type: str, accept: str, **params: Any) -> httpx2.Response:
    async with shop.client(**{"Accept": accept, "Accept-Language": "zh"}) as client:
        return await client.post(
            "/v1/imports/orders", params=params, content=content, headers={"Content-Type": media_type}
        )


async def test_refused_rows_come_back_as_a_table_that_can_be_mended_and_sent_again(shop: Shop) -> None:
    table = (
        "订单号,下单时间,商品编码,数量,单价,平台\n"
        "f-good,2024-06-01 10:00,A001,1,1,天猫\n"
        "f-bad,2024-06-01 10:00,A001,1,1,天猫\n"
        "f-bad,2024-06-01 10:00,B002,many,1,=1+1\n"
    ).encode("gb18030")
    answer = await refusals(shop, table, "text/csv", "text/csv")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/csv; charset=utf-8")
    assert "refused-rows.csv" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["订单号", "下单时间", "商品编码", "数量", "单价", "平台", "错误"]
    assert [row[0] for row in rows[1:]] == ["f-bad", "f-bad"], "an order is refused as a whole"
    assert (rows[2][5], rows[2][6]) == ("'=1+1", "quantity: not a whole number")
    refused(await shop.get("/v1/orders/f-good"), 404, "not_found")
    partly = await refusals(shop, table, "text/csv", "text/csv", partial="true")
    assert (partly.status_code, partly.content) == (201, answer.content)
    accepted(await shop.get("/v1/orders/f-good"))
    mended = answer.content.decode("utf-8-sig").replace("many", "2").replace("'=1+1", "天猫")
    accepted(await send(shop, mended.encode(), "text/csv"))
    assert accepted(await shop.get("/v1/orders/f-bad"))["total_cents"] == 300


async def test_refused_lines_come_back_as_lines(shop: Shop) -> None:
    content = lines(row("g-good"), row("g-bad"), row("g-bad", "B002", quantity=0)) + b"\n{broken"
    answer = await refusals(shop, content, JSONL, "application/x-ndjson", dry_run="true")
    first, second, third = answer.content.splitlines()
    assert (json.loads(first)["sku"], json.loads(second)["error"].partition(":")[0]) == ("A001", "quantity")
    assert (answer.status_code, third) == (200, b"{broken")
    mended = json.loads(second) | {"quantity": 1}
    accepted(await send(shop, lines(json.loads(first), mended)))


async def test_a_file_without_refused_rows_gives_an_empty_one(shop: Shop) -> None:
    answer = await refusals(shop, chinese_table("utf-8").replace(b"t-1", b"t-none"), "text/csv", "text/csv")
    assert (answer.status_code, answer.content.decode("utf-8-sig").strip()) == (201, f"{CHINESE},错误")


async def test_rows_that_disagree_about_their_order_are_named(shop: Shop) -> None:
    content = lines(row("x-1"), row("x-2"), row("x-1", "B002", placed_at="2024-06-02T10:00:00Z", currency="USD"))
    problem = refused(await send(shop, content), 422, "validation")
    assert places(problem) == [(3, "placed_at"), (3, "currency")]


async def test_more_than_was_shipped_does_not_come_back(shop: Shop) -> None:
    back = {
        "type": "return",
        "return_id": "m-r",
        "order_id": "m-1",
        "at": "2024-06-03T10:00:00Z",
        "lines": [{"sku": "A001", "quantity": 3}],
    }
    problem = refused(await send(shop, lines(row("m-1", quantity=2, **SHIPPED), back)), 422, "validation")
    assert places(problem) == [(2, "lines.0.quantity")]


async def test_a_wrong_cell_in_row_200000_is_named_and_nothing_is_kept(shop: Shop) -> None:
    """A whole file of 10 MiB at most: two hundred thousand rows in twenty thousand orders."""
    good = "".join(f"n{n // 10},2024-06-01T10:00+08:00,A1,1,1\n" for n in range(199_999))
    content = f"order_id,placed_at,sku,quantity,unit_price\n{good}n1,2024-06-01T10:00+08:00,A1,one,1\n".encode()
    assert len(content) < 10 << 20
    problem = refused(await send(shop, content, "text/csv"), 422, "validation")
    assert places(problem) == [(200_000, "quantity")]
    assert (problem["rows"], problem["errors"][0]["message"]) == (200_000, "not a whole number")
    assert await shop.sql("SELECT 1 FROM orders.orders WHERE order_id = 'n1'") == []


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", JSONL, 201, None),
        (b"", "text/csv", 400, "invalid_json"),
        (b"a,b\n1,2\n", "text/csv", 422, "validation"),
        (b"order_id,placed_at,sku,quantity\n", "text/csv", 422, "validation"),
        (b"order_id,order_id,placed_at,sku,quantity,unit_price\n", "text/csv", 422, "validation"),
        (b'order_id,placed_at,sku,quantity,unit_price\n"', "text/csv", 400, "invalid_json"),
        (b"\xff\xff\xff", "text/csv", 400, "invalid_json"),
        (b"PK\x03\x04 broken", sheets.XLSX, 400, "invalid_json"),
        (b"{}", "application/json", 415, "unsupported_media"),
        (b"--x", "multipart/form-data; boundary=y", 400, "invalid_json"),
        (b" " * ((10 << 20) + 1), JSONL, 413, "too_large"),
    ],
)
async def test_files_that_are_none(shop: Shop, content: bytes, media_type: str, status: int, code: str | None) -> None:
    response = await send(shop, content, media_type)
    assert (response.status_code, response.json().get("code")) == (status, code), response.text


async def test_a_repeated_call_with_a_key_gets_the_first_answer(shop: Shop) -> None:
    content = lines(row("k-1"))
    async with shop.client(**{"Idempotency-Key": "import-1"}) as client:
        first, again = [
            await client.post("/v1/imports/orders", content=content, headers={"Content-Type": JSONL}) for _ in range(2)
        ]
    assert first.text == again.text
    assert first.json()["new"] == 1
