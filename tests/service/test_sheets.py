"""Tables that people send: what comes out is bounded whatever comes in."""

import io
import zipfile

import pytest
import xlsxwriter

from libs.service import sheets
from libs.service.errors import InvalidBody, UnsupportedMedia, Validation


def workbook(cells: dict[tuple[int, int], object]) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    sheet = book.add_worksheet()
    for (row, column), value in cells.items():
        sheet.write(row, column, value)
    book.close()
    return file.getvalue()


def test_a_table_is_its_header_and_its_rows() -> None:
    sheet = sheets.read_sheet(sheets.CSV, "\ufeffsku, on_hand\nA001,5\n".encode())
    assert (sheet.header, list(sheet.rows)) == (("sku", "on_hand"), [["A001", "5"]])


def test_a_workbook_gives_numbers() -> None:
    sheet = sheets.read_sheet(sheets.XLSX, workbook({(0, 0): "sku", (1, 0): 71053}))
    assert [sheets.as_text(cell) for cell in sheet.rows[0]] == ["71053"]


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(InvalidBody):
        sheets.read_sheet(sheets.CSV, b"a\n" * 12, most_rows=10)


def test_two_cells_far_apart_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(InvalidBody, match="spans"):
        sheets.read_sheet(sheets.XLSX, workbook({(0, 0): "a", (1_048_575, 16_383): "b"}))


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        with packed.open("xl/worksheets/sheet1.xml", "w") as part:
            for _ in range(257):
                part.write(b" " * (1 << 20))
    assert len(file.getvalue()) < 1 << 20
    with pytest.raises(InvalidBody, match="unpacks"):
        sheets.read_sheet(sheets.XLSX, file.getvalue())


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(UnsupportedMedia):
        sheets.read_sheet("text/plain", b"a")
    for kind, content in ((sheets.CSV, b""), (sheets.CSV, b"\xff\xff"), (sheets.XLSX, b"PK")):
        with pytest.raises(InvalidBody):
            sheets.read_sheet(kind, content)


def test_columns_are_found_by_any_of_their_names() -> None:
    known = {"sku": "sku", "商品编码": "sku", "on_hand": "on_hand"}
    assert sheets.places(["on_hand", "", "商品编码"], known, ["sku"]) == {"on_hand": 0, "sku": 2}
    for header in (["colour"], ["sku", "商品编码"], ["on_hand"]):
        with pytest.raises(Validation) as refused:
            sheets.places(header, known, ["sku"])
        assert refused.value.errors[0]["row"] == 0
