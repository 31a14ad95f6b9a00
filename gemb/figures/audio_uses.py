"""What section 5's best model is good for, from its record alone."""

from __future__ import annotations

import html

import pandas as pd

from gemb.data import released
from gemb.figures.shown import Shown, medium, percent, table
from gemb.records import AudioEncoderRecord


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
        f"{first.items} spoken commands, by voices and in words that no training pair has, each "
        f"sent to the nearest of {first.tools} tool descriptions; per cent, with 95% intervals "
        f"over commands. The most frequent tool alone gets {100 * first.majority:.0f}%. "
        "Milliseconds are the median from a command's bytes to its tool, one at a time; the last "
        "row hears nothing: it is given the words.",
    )


def routing_examples(record: AudioEncoderRecord) -> Shown:
    """Some of the commands to listen to, with the tools they went to."""
    files = released.samples()
    cells, lines = [], []
    for n, example in enumerate(record.uses.routing[0].examples):
        told = [
            f"{w.name}: {w.examples[n].tool} {'✓' if w.examples[n].tool == example.meant else '✗'}"
            for w in record.uses.routing
        ]
        said = f"“{example.said}”, meant for {example.meant}"
        lines.append("; ".join([said, *told]))
        path = files.get(example.item)
        sound = medium(path, example.said) + "<br>" if path else ""
        cells.append(
            '<div style="display:inline-block;vertical-align:top;margin:0.4em;max-width:240px;'
            f'font-size:0.85em">{sound}{html.escape(said)}<br>'
            + "<br>".join(map(html.escape, told))
            + "</div>"
        )
    return Shown(f"<div>{''.join(cells)}</div>", "\n".join(lines))


def labels_table(record: AudioEncoderRecord) -> Shown:
    """Sounds labelled by the nearest caption."""
    found = record.uses.labelling
    rows = [
        {
            "encoder": w.encoder,
            "right label": percent(w.accuracy),
            **{f"“{e.caption}”": ", ".join(e.labels) for e in w.examples},
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
        about + "Beside the best model stands YAMNet, its AudioSet classes read by MiniLM. Then "
        "the first sounds, by caption, with the three labels nearest to each.",
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
