"""Settings from the environment: read once in `__main__`, passed down, never global.

`OPSWIRE_<SERVICE>_<NAME>` wins over `OPSWIRE_<NAME>`, which wins over the file given by `--config`.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict


class Settings(BaseSettings):
    """What every service can be told. A service adds its own in a subclass that names `SERVICE`."""

    model_config = SettingsConfigDict(env_prefix="OPSWIRE_", extra="ignore", frozen=True)

    SERVICE: ClassVar[str] = ""

    database_url: SecretStr = Field(
        default=SecretStr("postgresql+asyncpg://127.0.0.1:5432/opswire"), description="PostgreSQL of this installation"
    )
    kafka: str | None = Field(default=None, description="Bootstrap servers; without them the PostgreSQL bus is used")
    topic_prefix: str = Field(default="", description="Put before every topic name on Kafka (D59)")
    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data: Path = Field(default=Path("./var"), description="Where `opswire up` keeps its files")
    timezone: str = Field(default="Asia/Shanghai", description="Default for new stores")
    currency: str = Field(default="CNY", description="Default for new stores")
    language: Literal["zh", "en"] = Field(default="zh", description="Default for new stores")
    webhook_allow: str = Field(default="", description="Further hosts or networks that webhooks may go to, by comma")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    pool_size: int = Field(default=12, ge=1, description="Database connections kept by one process")
    pool_overflow: int = Field(default=4, ge=0, description="Connections beyond them under load")
    concurrency: int = Field(default=64, ge=1, description="Requests worked on at once; more wait")
    burst: int = Field(default=512, ge=1, description="Requests running or waiting that are never refused (D61)")
    queue_seconds: float = Field(default=0.6, gt=0, description="Waiting that is accepted under lasting overload (P9)")
    drain_seconds: float = Field(default=6.0, gt=0, description="How long running requests may finish at SIGTERM")
    stalled_seconds: float = Field(default=60.0, gt=0, description="Records waiting, none committed: exit after this")
    idempotency_hours: int = Field(default=48, ge=24, description="How long answers are kept for repeats")

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Self:
        """Read the environment and, if named, a file of the same `OPSWIRE_...` lines."""
        return cls(_env_file=config, **given)

    def dangers(self) -> list[str]:
        """What must not be in production: the service refuses to start with it."""
        if self.environment != "production":
            return []
        found = []
        if not self.database_url.get_secret_value().partition("@")[0].partition("://")[2].partition(":")[2]:
            found.append("OPSWIRE_DATABASE_URL has no password")
        if any(name in self.webhook_allow for name in ("127.", "localhost", "::1", "0.0.0.0")):
            found.append("OPSWIRE_WEBHOOK_ALLOW lets webhooks reach this very machine")
        if self.log_level == "debug":
            found.append("OPSWIRE_LOG_LEVEL is debug")
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The service's own variables first."""
        own = EnvSettingsSource(settings_cls, env_prefix=f"OPSWIRE_{cls.SERVICE.upper()}_") if cls.SERVICE else None
        return tuple(s for s in (init_settings, own, env_settings, dotenv_settings) if s is not None)
