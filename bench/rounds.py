"""Interleaved rounds, A B C A B C: whatever else the machine does meanwhile hits all contenders alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

Sample = Mapping[str, float]
"""Figures of one round: name -> value."""

Contender = Callable[[], Awaitable[Sample]]

ROUNDS = 5


async def interleave(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Sample]]:
    """Every contender once a round, in turn; each other round backwards, so that nobody always follows the same."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        names: Sequence[str] = [*contenders] if number % 2 == 0 else [*contenders][::-1]
        for name in names:
            samples[name].append(await contenders[name]())
    return samples
