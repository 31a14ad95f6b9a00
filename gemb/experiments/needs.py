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
# What sections 2 and 3 read beside the tasks' data.
BESIDE = {
    "raw": ("spoken-sentences", "packaged-sounds"),
    "released": ("spoken-sentences",),
    "official": ("librispeech", "esc-50", "celeba"),
}


def of_profile(profile: Profile) -> list[str]:
    """Every manifest that a run of ``profile`` reads, what they need included, once each."""
    wanted = [*ENCODER_PARTS.get(profile.encoder.partition(":")[0], ()), profile.llm]
    wanted += ENCODER_PARTS.get(profile.text_encoder, ())  # section 2
    if profile.source != "official":
        wanted += ENCODER_PARTS["open-bound"]  # section 3
    if profile.source != "released":
        wanted += [tasks.get(t, profile.source).dataset for t in profile.tasks]
    wanted += BESIDE[profile.source]
    known, out = manifests.load_all(), []

    def add(name: str) -> None:
        if name in known and name not in out:
            out.append(name)
            for needed in known[name].needs:
                add(needed)

    for name in wanted:
        add(name)
    return out
