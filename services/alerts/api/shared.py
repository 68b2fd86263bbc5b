"""What several routes share."""

from typing import Annotated

from pydantic import Field

from libs.service.call import CallContext
from libs.service.routes import MaskedText
from services.alerts.texts import Language

Words = Annotated[MaskedText, Field(min_length=1, max_length=2000)]


def language_of(call: CallContext) -> Language:
    """The language that an answer is written in."""
    return "en" if call.language == "en" else "zh"
