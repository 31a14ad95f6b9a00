"""What embedding costs: tokens of media, prices, and how much of each a run may take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from gemb.errors import UserError
from gemb.tasks import Modality

# The text's price is what a copy of the provider's page said on that day; images and sound are as
# published with the model in April 2026.
AS_OF = "2026-09-20"
SOURCE = "https://ai.google.dev/gemini-api/docs/pricing"

# Dollars per million tokens.
_EMBEDDING_2: Mapping[Modality, float] = {"text": 0.20, "image": 0.45, "audio": 6.50}
PRICES: Mapping[str, Mapping[Modality, float]] = {
    "gemini-embedding-2": _EMBEDDING_2,
    "gemini-embedding-2-preview": _EMBEDDING_2,
    "gemini-embedding-001": {"text": 0.15},
}

# As the published prices imply: $0.00012 an image, $0.00016 a second of sound.
TOKENS_PER_IMAGE = 258
TOKENS_PER_SECOND = 25
CHARACTERS_PER_TOKEN = 4  # of English text, about


@dataclass(frozen=True)
class Amount:
    """What an encoder is shown; amounts add up."""

    contents: int = 0  # vectors asked for
    images: int = 0
    seconds: float = 0.0  # of sound
    characters: int = 0  # of text

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.contents + other.contents,
            self.images + other.images,
            self.seconds + other.seconds,
            self.characters + other.characters,
        )

    @property
    def tokens_by_modality(self) -> dict[Modality, float]:
        return {
            "image": self.images * TOKENS_PER_IMAGE,
            "audio": self.seconds * TOKENS_PER_SECOND,
            "text": self.characters / CHARACTERS_PER_TOKEN,
        }

    @property
    def tokens(self) -> float:
        """Tokens in all, estimated."""
        return sum(self.tokens_by_modality.values())


def dollars(model: str, amount: Amount) -> float | None:
    """The list price of embedding ``amount``; ``None`` where the list has none for it."""
    total = 0.0
    for modality, tokens in amount.tokens_by_modality.items():
        if tokens:
            price = PRICES.get(model, {}).get(modality)
            if price is None:
                return None
            total += tokens * price / 1e6
    return total


def _from_environment(name: str, default: float) -> float:
    given = os.environ.get(name) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UserError(f"{name}={given}: a number above 0 is expected")
    return value


@dataclass
class Limits:
    """How fast a paid encoder may go, and how far.

    The defaults are those reported of the free tier, or what ``GEMB_REQUESTS_PER_MINUTE`` and
    ``GEMB_TOKENS_PER_MINUTE`` say; a project's own limits are shown in the provider's console.
    """

    requests_per_minute: float = field(
        default_factory=lambda: _from_environment("GEMB_REQUESTS_PER_MINUTE", 100)
    )
    tokens_per_minute: float = field(
        default_factory=lambda: _from_environment("GEMB_TOKENS_PER_MINUTE", 30_000)
    )
    max_dollars: float | None = None

    def minutes(self, amount: Amount) -> float:
        """What ``amount`` takes at least; each content of a batch counts as a request.

        A tenth of a minute's limit may come at once, and the rest flows at nine tenths.
        """
        return (
            max(amount.contents / self.requests_per_minute, amount.tokens / self.tokens_per_minute)
            / 0.9
        )
