"""Which manifests a profile needs."""

from __future__ import annotations

from gemb import tasks
from gemb.data import manifests
from gemb.profiles import Profile

# Parts of the encoders that are built from packaged weights.
ENCODER_PARTS = {"open-concat": ("efficientnet-lite0", "moonshine-base", "yamnet")}


def of_profile(profile: Profile) -> list[str]:
    """Every manifest that a run of ``profile`` reads, what they need included, once each."""
    wanted = [*ENCODER_PARTS.get(profile.encoder, ()), profile.llm]
    if profile.source == "raw":
        wanted += [tasks.get(t).dataset for t in profile.tasks]
    known, out = manifests.load_all(), []

    def add(name: str) -> None:
        if name in known and name not in out:
            out.append(name)
            for needed in known[name].needs:
                add(needed)

    for name in wanted:
        add(name)
    return out
