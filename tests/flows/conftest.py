"""One running platform for all flows of a worker: five services as processes on a database of their own."""

from collections.abc import AsyncIterator

import pytest

from cli.verify import Report, examine
from tests.support import databases
from tests.support.services import Platform, running_services
from tests.support.storefront import Storefront


@pytest.fixture(scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Webhooks may go to this machine; reports are made as soon as their day is measured."""
    logs = tmp_path_factory.mktemp("platform")
    given = {"OPSWIRE_WEBHOOK_ALLOW": "127.0.0.1", "OPSWIRE_REPORTING_SETTLE_SECONDS": "0.2"}
    for url in databases.new_database(databases.migrated_template()):
        async with running_services(url, logs=logs, **given) as started:
            yield started


@pytest.fixture
def shop(platform: Platform) -> Storefront:
    """The store `demo`, in Shanghai."""
    return Storefront(platform)


async def verified(platform: Platform, seconds: float = 60.0) -> Report:
    """The platform at rest, with no invariant broken."""
    report = await examine(platform.installation, seconds)
    assert report.moving is None, report.moving
    assert report.violations == []
    assert (report.dead_letters, report.parked) == (0, 0)
    return report
