"""The table of published scores says what its sources say."""

from gemb.audio_embedding import published


def of(source: str, model: str, dataset: str, direction: str = "text-to-audio") -> float:
    (row,) = (
        p
        for p in published.published()
        if (p.source, p.model, p.dataset, p.direction) == (source, model, dataset, direction)
    )
    return row.scores["cvR@5"]


def test_the_two_sources_are_kept_apart() -> None:
    assert {p.source for p in published.published()} == {"mteb", "article"}
    assert of("article", "MS-CLAP 2023", "AudioCaps") == 42.0
    assert of("mteb", "microsoft/msclap-2023", "AudioCaps") == 49.94
    assert of("mteb", "laion/larger_clap_music_and_speech", "AudioCaps") == 63.14
    assert of("mteb", "laion/larger_clap_general", "AudioCaps", "audio-to-text") == 76.22


def test_where_they_differ() -> None:
    found = {
        (mine.same_as, mine.dataset): theirs.scores["cvR@5"] - mine.scores["cvR@5"]
        for mine, theirs in published.differences()
    }
    assert found[("microsoft/msclap-2023", "AudioCaps")] > 7
    assert found[("Tevatron/OmniEmbed-v0.1", "Clotho")] > 30
    assert len(found) == 2  # mteb has no OmniEmbed on AudioCaps


def test_models_that_heard_nothing_in_fine_tuning() -> None:
    rows = published.without_audio()
    names = {p.model for p in rows}
    assert {"LCO-Embedding/LCO-Embedding-Omni-7B", "ColQwen-Omni"} <= names
    assert all(p.note for p in rows)
    found = [p for p in rows if (p.dataset, p.direction) == ("AudioCaps", "text-to-audio")]
    best = max(p.scores["cvR@5"] for p in found)
    assert best == 53.82  # below the best that were trained on captioned sounds


def test_scores_are_percentages_and_every_row_is_whole() -> None:
    for row in published.published():
        assert row.scores and all(0 <= v <= 100 for v in row.scores.values())
        assert row.direction in ("text-to-audio", "audio-to-text")
        assert row.parameters is None or row.parameters > 1e7
        hits = [row.scores[m] for m in ("cvR@1", "cvR@5", "cvR@10") if m in row.scores]
        assert hits == sorted(hits)
