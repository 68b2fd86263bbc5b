"""Every setting is described in both languages, and what is printed from them is up to date."""

from cli.settings_catalogue import CHINESE, env_example, every_setting
from tests.architecture.sources import ROOT


def test_every_setting_is_described_in_both_languages() -> None:
    silent = [setting.variable for setting in every_setting() if not (setting.english and setting.chinese)]
    assert silent == []


def test_no_description_is_left_of_a_setting_that_is_gone() -> None:
    names = {setting.variable for setting in every_setting()}
    described = {f"OPSWIRE_{name.replace('.', '_').upper()}" for name in CHINESE}
    assert described <= names


def test_the_example_file_holds_every_setting_and_no_value_that_counts() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert text == env_example()
    assert all(f"#{setting.variable}=" in text for setting in every_setting())
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []
