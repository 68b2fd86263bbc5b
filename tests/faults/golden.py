"""What the "Online Retail" file comes to, counted by DuckDB from its own lines, by nothing of the platform (D51).

Sold is a line with a quantity and a price over zero whose invoice starts with neither C nor A; an invoice belongs to
the day of its first sold line. Prices count to the penny, what lies under it is the rounding.
"""

import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import duckdb
import pytest

from tests.support.guardian import ROOT

GIVEN = "OPSWIRE_TEST_ONLINE_RETAIL"
USUAL = ROOT.parent / "shared" / "data" / "orders_online_retail_2010-12_2011-09.csv.gz"

_SOLD = """
SELECT InvoiceNo AS invoice, min(InvoiceDate)::date AS day, sum(Quantity) AS units,
       sum(Quantity * round(UnitPrice * 100)) AS pence, sum(Quantity * UnitPrice) AS exact
FROM read_csv(?, columns = {
    'InvoiceNo': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR', 'Quantity': 'BIGINT',
    'InvoiceDate': 'TIMESTAMP', 'UnitPrice': 'DECIMAL(18, 6)', 'CustomerID': 'VARCHAR', 'Country': 'VARCHAR'})
WHERE Quantity > 0 AND UnitPrice > 0 AND left(InvoiceNo, 1) NOT IN ('C', 'A') GROUP BY InvoiceNo
"""


@dataclass(frozen=True, slots=True)
class Golden:
    """Figures of every day that sold anything, by the ids of the KPI API, and what rounding took away, in pounds."""

    days: Mapping[str, Mapping[str, int]]
    rounding: Decimal

    @property
    def whole(self) -> Mapping[str, int]:
        return {kpi: sum(day[kpi] for day in self.days.values()) for kpi in ("orders_placed", "gmv", "units_paid")}


def golden(file: Path) -> Golden:
    """Count a file, gzipped or not."""
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE sold AS {_SOLD}", [str(file)])
        days = database.execute(
            "SELECT day, count(*), sum(pence)::bigint, sum(units)::bigint FROM sold GROUP BY day ORDER BY day"
        ).fetchall()
        (rounding,) = database.execute("SELECT sum(exact) - sum(pence) / 100 FROM sold").fetchone() or (0,)
    figures = {str(day): {"orders_placed": n, "gmv": pence, "units_paid": units} for day, n, pence, units in days}
    return Golden(figures, Decimal(str(rounding)).quantize(Decimal("0.000001")))


def real_file() -> Path:
    """The whole file; skips where it is not."""
    file = Path(os.environ.get(GIVEN) or USUAL)
    if not file.exists():
        pytest.skip(f"the Online Retail file is not there: name it by {GIVEN} (looked for {file})")
    return file


def first_lines(folder: Path, lines: int) -> Path:
    """The header and so many lines of the real file."""
    file = folder / "retail.csv"
    with gzip.open(real_file(), "rb") as whole:
        file.write_bytes(b"".join(islice(whole, lines + 1)))
    return file
