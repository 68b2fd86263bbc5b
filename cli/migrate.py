"""`opswire migrate`: bring every schema to the version of this program."""


async def migrate_everything(database_url: str) -> None:
    """Run the migrations of the shared schema, the bus and every service."""
