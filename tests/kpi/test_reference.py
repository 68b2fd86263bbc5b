"""The printed catalogue is the code's."""

from docs.generate import GENERATED, ROOT

PAGE = "docs/reference/kpis.md"


def test_the_page_of_figures_is_what_the_catalogue_prints() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == GENERATED[PAGE](), "run `make docs`"
