"""Every setting of every service in both languages; `.env.example` and the reference page are printed from it."""

import importlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from cli.local.topology import SERVICES
from libs.service.settings import Settings

ENGLISH: Mapping[str, str] = {
    "environment": "development or production; production refuses unsafe settings",
    "host": "Address to listen on",
    "port": "Port to listen on",
    "log_level": "How much is logged",
}
"""For the few settings that say nothing about themselves."""

CHINESE: Mapping[str, str] = {
    "database_url": "本套系统使用的 PostgreSQL 地址；不设置时 `opswire up` 自带数据库",
    "kafka": "Kafka 引导地址；不设置时使用 PostgreSQL 总线",
    "topic_prefix": "Kafka 上所有主题名的前缀",
    "environment": "development 或 production；production 拒绝不安全的设置",
    "host": "监听地址",
    "port": "监听端口",
    "data": "`opswire up` 存放文件的目录",
    "timezone": "新店铺的默认时区",
    "currency": "新店铺的默认币种",
    "language": "新店铺的默认语言",
    "webhook_allow": "允许发送 webhook 的其他主机或网段，逗号分隔",
    "log_level": "日志级别",
    "pool_size": "每个进程保持的数据库连接数",
    "pool_overflow": "负载高时可额外打开的连接数",
    "concurrency": "同时处理的请求数，其余等待",
    "burst": "正在处理或等待、绝不拒绝的请求数",
    "queue_seconds": "持续过载时可接受的等待时间（秒）",
    "drain_seconds": "收到 SIGTERM 后允许请求完成的时间（秒）",
    "stalled_seconds": "有消息待处理却无进展多久后进程退出（秒）",
    "orders.inventory_url": "inventory 服务的地址",
    "orders.review_quantity": "同一 SKU 数量超过此值视为异常，需人工审单",
    "orders.review_amount_cents": "订单金额（分）超过此值视为异常，需人工审单",
    "orders.personal_data_days": "收货人信息保留天数",
    "inventory.concurrency": "同时处理的请求数；由通道合并处理",
    "kpi.consume": "本进程是否将事件汇总为指标；仅接收流量的进程可关闭",
    "kpi.settle_seconds": "统计周期结束到测算的时间（秒），按事件水位线计",
    "alerts.console_url": "消息中的链接所指向的控制台地址",
    "alerts.webhook_seconds": "等待 webhook 目标应答的时间（秒）",
    "reporting.kpi_url": "读取未结束周期数据的 kpi 服务地址",
    "reporting.settle_seconds": "周期测算完成到首版报告的时间（秒）",
    "reporting.correction_seconds": "已发布周期出现首个更正到下一版的时间（秒）",
    "idempotency_hours": "为重复请求保留答复的时间（小时）",
}
"""Descriptions in Chinese; the English ones stand at the settings themselves. A test finds what is missing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `variable` is its name in the environment; `service` is empty where all services share it."""

    variable: str
    service: str
    default: str
    english: str
    chinese: str
    is_secret: bool


def every_setting() -> list[Setting]:
    """The shared settings, then each service's own."""
    shared = list(_settings_of(Settings, "", known=frozenset()))
    names = frozenset(Settings.model_fields)
    own = [one for service in SERVICES for one in _settings_of(settings_class(service), service, known=names)]
    return shared + own


def settings_class(service: str) -> type[Settings]:
    """The settings of a service; the shared ones while it has none of its own."""
    name = f"services.{service}.settings"
    if importlib.util.find_spec(name) is None:
        return Settings
    found = [each for each in vars(importlib.import_module(name)).values() if _is_settings_of(each, service)]
    return found[0] if found else Settings


def _is_settings_of(candidate: object, service: str) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Settings) and service == candidate.SERVICE


def _settings_of(owner: type[Settings], service: str, known: frozenset[str]) -> Iterator[Setting]:
    for name, info in owner.model_fields.items():
        if name not in known or _differs(name, info):
            yield Setting(
                variable=_variable(service, name),
                service=service,
                default=_default(info),
                english=info.description or _shared_description(name),
                chinese=CHINESE.get(f"{service}.{name}", CHINESE.get(name, "")),
                is_secret=isinstance(info.default, SecretStr),
            )


def _shared_description(name: str) -> str:
    shared = Settings.model_fields.get(name)
    return (shared.description if shared else None) or ENGLISH.get(name, "")


def _differs(name: str, info: FieldInfo) -> bool:
    """Whether a service gives a shared setting another default."""
    return bool(info.default != Settings.model_fields[name].default)


def _variable(service: str, name: str) -> str:
    return "_".join(part.upper() for part in ("opswire", service, name) if part)


def _default(info: FieldInfo) -> str:
    value: Any = info.get_default(call_default_factory=True) if not info.is_required() else ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def in_force(service: str, files: Mapping[str, str]) -> list[dict[str, str]]:
    """Every setting as one service would read it now: value (secrets masked) and where it comes from.

    `files` are the variables that a `--config` file put into the environment.
    """
    owner = settings_class(service)
    values = owner.load()
    return [
        {
            "setting": name,
            "value": shown(getattr(values, name)),
            "source": _source(service, name, files),
        }
        for name in owner.model_fields
    ]


def shown(value: Any) -> str:
    """A value for people's eyes."""
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    return "" if value is None else str(value)


def _source(service: str, name: str, files: Mapping[str, str]) -> str:
    for variable in (_variable(service, name), _variable("", name)):
        if variable in os.environ:
            return f"file: {variable}" if files.get(variable) == os.environ[variable] else f"environment: {variable}"
    return "default"


def env_example() -> str:
    """The text of `.env.example`."""
    lines = [
        "# Every setting of opswire, with its default. Give it as an environment variable, or in a file like this one",
        "# by `opswire --config FILE ...`. A service's own variable (OPSWIRE_ORDERS_...) wins over the shared one.",
        "# opswire 的全部设置及默认值；可用环境变量，或用 `opswire --config 文件` 读取。服务自己的变量优先。",
    ]
    section = None
    for setting in every_setting():
        if setting.service != section:
            section = setting.service
            lines += ["", f"# --- {section or 'shared by all services, 所有服务共用'} ---"]
        lines += ["", f"# {setting.english}", f"# {setting.chinese}", f"#{setting.variable}={setting.default}"]
    return "\n".join([*lines, *_addresses(), ""])


def _addresses() -> list[str]:
    return [
        "",
        "# --- where the services find each other, 服务地址 ---",
        "",
        "# Set by `opswire up`; needed where the services run on different machines",
        "# 由 `opswire up` 设置；服务分布在多台机器上时需要",
        *(f"#OPSWIRE_{service.upper()}_URL=http://127.0.0.1:{8001 + at}" for at, service in enumerate(SERVICES)),
    ]


def reference_page() -> str:
    """The text of `docs/reference/settings.md`."""
    rows = [
        f"| `{s.variable}` | {'`' + s.default + '`' if s.default else ''} | {s.english} | {s.chinese} |"
        for s in every_setting()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Environment variables, read once at start. `OPSWIRE_<SERVICE>_<NAME>` wins over `OPSWIRE_<NAME>`, which",
            "wins over the file given by `--config`. `opswire config` shows what is in force and where it comes from.",
            "",
            "| variable | default | meaning | 含义 |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
