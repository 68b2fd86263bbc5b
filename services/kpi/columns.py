"""Many short names as one argument of a statement: the driver looks at every element of an array one by one.

Names of things hold no line feed (contracts refuse control characters), so a line feed stands between them. A first
element that is left out keeps a single empty name apart from no name at all.
"""

from collections.abc import Iterable


def joined(column: Iterable[object]) -> str:
    """A column of names or numbers for `listed`."""
    return "\n".join(("", *map(str, column)))


def listed(parameter: str) -> str:
    """SQL: the text array of a joined column."""
    return f"(string_to_array({parameter}, E'\\n'))[2:]"
