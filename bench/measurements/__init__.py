"""One file a measurement: `async def measure(stage) -> Outcome`."""
