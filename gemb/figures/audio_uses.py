"""What section 5's best model is good for, from its record alone."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd

from gemb.data import manifests, released
from gemb.figures.shown import Shown, medium, percent, table
from gemb.records import AudioEncoderRecord

# The names that the section's other tables give to what is written down by encoder.
CALLED = {"open-audio": "the best route's model", "open-bound": "YAMNet's class names, MiniLM"}


def routing_table(record: AudioEncoderRecord) -> Shown:
    """Spoken commands sent to the nearest of a dozen tools."""
    ways = record.uses.routing
    rows = [
        {
            "routed by": w.name,
            "accuracy": percent(w.accuracy),
            "mean over tools": percent(w.macro),
            "ms a command": f"{w.milliseconds:.0f}",
        }
        for w in ways
    ]
    first = ways[0]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_routing",
        f"{first.items} spoken commands, by voices and in wordings that no training pair has, each "
        f"sent to the nearest of {first.tools} tool descriptions; per cent, with 95% intervals "
        f"over wordings. The most frequent tool alone gets {100 * first.majority:.0f}%. "
        "Milliseconds are the median from a command's bytes to its tool, one at a time; the last "
        "row hears nothing: it is given the words.",
    )


def routing_examples(record: AudioEncoderRecord) -> Shown:
    """Some of the commands to listen to, with the tools they went to."""
    cells = []
    for n, example in enumerate(record.uses.routing[0].examples):
        told = [
            f"{w.name}: {w.examples[n].tool} {'✓' if w.examples[n].tool == example.meant else '✗'}"
            for w in record.uses.routing
        ]
        cells.append((example.item, [f"“{example.said}”, meant for {example.meant}", *told]))
    return _players(cells)


def _players(cells: Sequence[tuple[str, list[str]]]) -> Shown:
    """Sounds to listen to, where the file is released, each with lines about it."""
    files = released.samples()
    markup, text = [], []
    for item, about in cells:
        sound, lines = "", list(about)
        if item in files:
            sound = medium(files[item], about[0]) + "<br>"
            source = manifests.get(released.source_of(item))
            lines.append(f"from {source.name}, {source.licence.partition(' (')[0]}")
        text.append("; ".join(lines))
        markup.append(
            '<div style="display:inline-block;vertical-align:top;margin:0.4em;max-width:240px;'
            f'font-size:0.85em">{sound}{"<br>".join(map(html.escape, lines))}</div>'
        )
    return Shown(f"<div>{''.join(markup)}</div>", "\n".join(text))


def labels_table(record: AudioEncoderRecord) -> Shown:
    """Sounds labelled by the nearest caption."""
    found = record.uses.labelling
    rows = [
        {
            "encoder": CALLED.get(w.encoder, w.encoder),
            "right label": percent(w.accuracy),
        }
        for w in found
    ]
    about = (
        f"{found[0].items} sounds, each with the nearest of all their {found[0].captions} captions "
        f"(by chance {100 / found[0].captions:.1f}%); per cent, with 95% intervals over "
        "recordings. "
        if found
        else "Sounds with the nearest of their captions. "
    )
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_labels",
        about + "Beside the best model stand the AudioSet classes that YAMNet hears, as MiniLM "
        "reads them.",
    )


def labels_examples(record: AudioEncoderRecord) -> Shown:
    """Some of the sounds to listen to, with the three labels nearest to each."""
    found = record.uses.labelling
    return _players(
        [
            (
                e.item,
                [
                    f"“{e.caption}”",
                    *(
                        f"{CALLED.get(w.encoder, w.encoder)}: {', '.join(w.examples[n].labels)}"
                        for w in found
                    ),
                ],
            )
            for n, e in enumerate(found[0].examples if found else [])
        ]
    )


def searches_table(record: AudioEncoderRecord) -> Shown:
    """What texts and a sound find."""
    rows = [
        {
            "asked by": s.kind,
            "query": s.query,
            "found, nearest first": "; ".join(f"{c} {near:.2f}" for c, near in s.found),
            "among": s.among,
        }
        for s in record.uses.searches
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_searches",
        "Test clips searched by a text or by another clip: captions of the three nearest, with "
        "their cosine.",
    )


def searches_examples(record: AudioEncoderRecord) -> Shown:
    """What was asked and what was found, to listen to where the clip is released.

    Beside a text stands a clip that it describes. Earlier records do not say which clips were
    found, but their captions alone.
    """
    described = {e.caption: e.item for w in record.uses.labelling[:1] for e in w.examples}
    shown = []
    for s in record.uses.searches:
        if s.kind == "sound":
            asked = (s.item, [f"asked with “{s.query}”"])
        else:
            meant = described.get(s.query, "")
            heard = ["what was meant"] if meant in released.samples() else []
            asked = (meant, [f"asked with the words “{s.query}”", *heard])
        if not s.ids:
            asked[1].append("found: " + ", ".join(c for c, _ in s.found))
        hits = [
            (item, [f"found “{caption}”, {near:.2f}"])
            for item, (caption, near) in zip(s.ids, s.found, strict=False)
        ]
        shown.append(_players([asked, *hits]))
    return Shown("".join(s.markup for s in shown), "\n".join(s.text for s in shown))


def device_table(record: AudioEncoderRecord) -> Shown:
    """What embedding takes on the machine that ran this."""
    d = record.uses.device
    rows = [
        {
            "clips": d.clips,
            "clips a second": f"{d.clips_per_second:.1f}",
            "peak memory, MB": f"{d.peak_megabytes:.0f}",
            "threads": d.threads,
        }
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_device",
        "The best model in a process of its own, one clip after the other, from the file's bytes "
        f"to its vector; on {record.provenance.machine}. The memory is that of the process, with "
        "Python and its libraries.",
    )
