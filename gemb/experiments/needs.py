"""Which manifests a profile needs."""

from __future__ import annotations

from gemb import tasks
from gemb.data import manifests
from gemb.profiles import Profile

# Parts of the encoders that are built from packaged weights.
ENCODER_PARTS = {
    "open-concat": ("efficientnet-lite0", "moonshine-base", "yamnet"),
    "minilm": ("minilm",),
    "open-bound": ("minilm", "imagenet-names"),
}


def of_profile(profile: Profile) -> list[str]:
    """Every manifest that a run of ``profile`` reads, what they need included, once each."""
    wanted = [*ENCODER_PARTS.get(profile.encoder.partition(":")[0], ()), profile.llm]
    wanted += [*ENCODER_PARTS.get(profile.text_encoder, ()), "spoken-sentences"]  # section 2
    wanted += ENCODER_PARTS["open-bound"]  # section 3
    if profile.source == "raw":
        wanted += [*(tasks.get(t).dataset for t in profile.tasks), "packaged-sounds"]
    known, out = manifests.load_all(), []

    def add(name: str) -> None:
        if name in known and name not in out:
            out.append(name)
            for needed in known[name].needs:
                add(needed)

    for name in wanted:
        add(name)
    return out
