"""No secret and no personal data in logs, answers and audit rows (P12, D7, D8)."""

import io
import json
import logging as standard
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from libs.service import logging, privacy
from libs.service.auth import new_key
from libs.service.privacy import Pseudonyms, mask_name, mask_phone, mask_text, redact

PSEUDONYMS = Pseudonyms(b"k" * 32)


@pytest.mark.parametrize("customer", ["c-9", "12345678", "0012", "C13800005678", "user_1", "91380000567", "h_0a", ""])
def test_a_customers_reference_is_kept_as_given(customer: str) -> None:
    assert PSEUDONYMS.replace(customer) == customer


@pytest.mark.parametrize(
    "customer", ["13800005678", "+86 138 0000 5678", "86-13800005678", "138-0000-5678", " 13800005678 "]
)
def test_one_phone_number_has_one_pseudonym_however_it_is_written(customer: str) -> None:
    replaced = PSEUDONYMS.replace(customer)
    assert replaced == PSEUDONYMS.replace("13800005678")
    assert replaced.startswith("h_")
    assert "1380000" not in replaced


def test_a_mail_address_is_replaced_whatever_its_case() -> None:
    assert PSEUDONYMS.replace("Li@Example.com") == PSEUDONYMS.replace("li@example.com") != "li@example.com"


def test_pseudonyms_differ_between_installations() -> None:
    assert Pseudonyms(b"other").replace("13800005678") != PSEUDONYMS.replace("13800005678")


def test_masks_show_what_the_answers_may_show() -> None:
    assert mask_phone("13800005678") == "138****5678"
    assert mask_phone("12345") == "***"
    assert mask_name("张三") == "张*"
    assert mask_name("") == ""


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("请打13800005678联系", "请打138****5678联系"),
        ("call +86 138 0000 5678 now", "call 138****5678 now"),
        ("li.lei@example.com.cn", "l***@example.com.cn"),
        ("身份证11010519491231002X", "身份证110***2X"),
        ("+44 20 7946 0958", "***"),
        ("order 20240701123456789 of 2024-07-01", "order 20240701123456789 of 2024-07-01"),
        ("A001 x 13800005678901", "A001 x 13800005678901"),
        ("total 15600", "total 15600"),
    ],
)
def test_free_text_loses_phones_mails_and_id_cards(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_masking_long_text_takes_no_long_time() -> None:
    for hostile in ("a@" * 100_000, "1" * 200_000, "+1 " * 60_000, "a." * 100_000 + "@"):
        mask_text(hostile)


def test_redaction_knows_secrets_by_name_and_by_look() -> None:
    key = new_key("demo", ["admin"]).key
    redacted = redact(
        {
            "Authorization": f"Bearer {key}",
            "text": f"used {key} today",
            "url": "https://oapi.dingtalk.com/robot/send?access_token=T0KEN",
            "slack": "https://hooks.slack.com/services/T1/B2/s3cr3t",
            "feishu": "posted to https://open.feishu.cn/open-apis/bot/v2/hook/abc-def",
            "database": "postgresql://u:pa55word@h/d",
            "secret": "whsec_abcdefgh",
            "robot": "SEC0123456789abcdef",
            "consignee": {"name": "张三", "phone": "13800005678"},
            "nested": [{"phone": "13800005678"}, ("li@example.com",)],
            "raw": b"13800005678",
            "order_id": "o-1001",
            "count": 7,
        }
    )
    text = json.dumps(redacted, ensure_ascii=False)
    secrets = (key, key[-64:], "T0KEN", "s3cr3t", "abc-def", "pa55word", "whsec_abc", "SEC0123")
    for secret in (*secrets, "张三", "13800005678", "li@example.com"):
        assert secret not in text
    assert (redacted["order_id"], redacted["count"]) == ("o-1001", 7)
    assert redacted["url"].startswith("https://oapi.dingtalk.com/")


def test_an_errors_text_loses_the_values_of_the_row() -> None:
    told = "duplicate key value violates\nDETAIL:  Key (name)=(张三) already exists.\n[SQL: INSERT]"
    assert privacy.without_values(told) == "duplicate key value violates\nDETAIL: ***\n[SQL: INSERT]"


class Person(BaseModel):
    """Somebody."""

    name: str


NAMELESS = {"name": ["13800005678", "张三"]}


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The process's log as it would be on standard error."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.configure("example")
    lines: list[dict[str, Any]] = []
    yield lines
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    lines += [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines
    assert not [line for line in lines if "13800005678" in str(line) or "张三" in str(line)]


def test_a_line_of_the_log_is_one_json_object_without_secrets(log_lines: list[dict[str, Any]]) -> None:
    logging.get_logger("tests").info("order placed", order_id="o-1", phone="13800005678", note="打13800005678")
    try:
        raise ValueError("the number is 13800005678")
    except ValueError as error:
        logging.get_logger("tests").error("unexpected error", exc_info=error)
    try:
        Person.model_validate(NAMELESS)
    except ValidationError as error:
        logging.get_logger("tests").error("unexpected error", exc_info=error)
    standard.getLogger("sqlalchemy").error("statement with %s", "13800005678")


def test_the_redaction_is_what_keeps_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage twin of the test above."""
    monkeypatch.setattr(privacy, "mask_text", lambda text: text)
    assert redact("13800005678") == "13800005678"
