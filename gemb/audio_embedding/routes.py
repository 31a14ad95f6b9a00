"""The source's four routes to an audio embedding model, each a list of stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gemb import records
from gemb.audio_embedding.config import Recipe, Route
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.train import Fit, Pairs, Trainable, train
from gemb.errors import UserError

# Penalty of the warm start's regression, on frames of unit size: gemb.train's.
RIDGE = 10.0


@dataclass(frozen=True)
class Stage:
    """One step of a route: layers taken away, or parts trained on pairs.

    Attributes:
        name: For reports and checkpoints.
        trains: The parts; none if layers are taken away.
        on: Kind of pairs.
    """

    name: str
    trains: tuple[Trainable, ...] = ()
    on: Literal["audio", "text"] = "audio"


ALIGN = Stage("align", ("projection",))
PRUNE = Stage("prune")
TUNE = Stage("tune", ("tower", "projection", "body"))
TEXT = Stage("text", ("body",), on="text")

# Parts of one model are aligned as they come, and skip the first stage.
ROUTES: dict[Route, tuple[Stage, ...]] = {
    "full": (ALIGN, TUNE),
    "prune": (ALIGN, PRUNE, TUNE),
    "text-only": (ALIGN, TEXT, PRUNE),
    "combine": (TUNE,),
}


def stages(recipe: Recipe, aligned: bool = False) -> tuple[Stage, ...]:
    """The stages of a recipe's route that apply to its parts, or to a model aligned before."""
    aligned = aligned or recipe.parts.is_aligned
    return tuple(
        s
        for s in ROUTES[recipe.route]
        if not (s is ALIGN and aligned) and not (s is PRUNE and not recipe.layers)
    )


def follow(
    recipe: Recipe,
    model: AudioEmbedder,
    audio: Pairs | None = None,
    text: Pairs | None = None,
    folder: Path | None = None,
    after: Callable[[str, AudioEmbedder], None] | None = None,
    on_step: Callable[[str, int, float], None] | None = None,
) -> dict[str, Fit]:
    """Take ``model`` along a route, in place; what was done is kept in its provenance.

    Args:
        recipe: The route and its settings.
        model: Built of the recipe's parts; or trained before, and then not aligned again.
        audio: Clips and captions.
        text: Pairs of texts, for ``text-only``.
        folder: Of checkpoints: an interrupted route goes on where it was.
        after: Called with each stage's name and the model as it is then; first with ``start``.
        on_step: Called with a stage's name, its steps done and the loss.

    Returns:
        How each training went, by stage.

    Raises:
        UserError: Pairs are missing that a stage needs, or as :func:`~.train.train`.
    """
    given = {"audio": audio, "text": text}
    before = model.provenance.get("stages", [])
    todo = stages(recipe, aligned=bool(before))
    for stage in todo:
        if stage.trains and given[stage.on] is None:
            raise UserError(
                f"the route {recipe.route!r} needs {stage.on} pairs for its stage {stage.name!r}"
            )
    if not before:
        standardise(model, audio)
    done: dict[str, Fit] = {}
    history: list[dict[str, Any]] = []
    if after:
        after("start", model)
    if not before and recipe.warm_start:
        warm_start(model, audio)
    for stage in todo:
        pairs = given[stage.on]
        if not stage.trains:
            assert recipe.layers is not None
            model.prune(recipe.layers)
            history.append({"stage": stage.name, "layers": recipe.layers})
        else:
            assert pairs is not None
            settings = recipe.align if recipe.align and stage is ALIGN else recipe.training
            fit = done[stage.name] = train(
                model,
                pairs,
                settings,
                stage.trains,
                folder / f"{stage.name}.pt" if folder else None,
                partial(on_step, stage.name) if on_step else None,
                f"training, stage {stage.name}",
            )
            history.append(
                {
                    "stage": stage.name,
                    "trains": list(stage.trains),
                    "on": f"{len(pairs.right)} {stage.on} pairs",
                    # few steps do not come round to all of them
                    "pairs_seen": min(len(pairs.right), fit.steps * settings.batch_size),
                    "pairs_sha256": records.digest(pairs.names),
                    "settings": settings.model_dump(mode="json"),
                    "steps": fit.steps,
                    "last_loss": fit.losses[-1],
                    "trainable": fit.trainable,
                    "temperature": fit.temperature,
                    "seconds": fit.seconds,
                }
            )
        if after:
            after(stage.name, model)
    model.provenance |= {"route": recipe.route, "stages": [*before, *history]}
    return done


def standardise(model: AudioEmbedder, audio: Pairs | None) -> None:
    """Give the projection of frozen encoders the mean and spread of the clips' frames.

    A tower's frames come out of a normalisation of its own.
    """
    if audio is not None and model.tower is None:
        model.projection.standardise_by(np.concatenate([np.asarray(c) for c in audio.left]))


@torch.no_grad()
def warm_start(model: AudioEmbedder, audio: Pairs | None) -> None:
    """Set the projection of frozen encoders so that a clip's tokens lie among its caption's words.

    A ridge regression from the mean of a clip's standardised frames to the mean embedding of
    its caption's tokens. From a projection drawn at random the language model reads noise, and
    all of a short alignment goes by in finding out where its words are. A tower's frames change
    in training, and its projection starts as it is drawn.
    """
    if audio is None or model.tower is not None:
        return
    projection = model.projection
    targets = torch.stack([model.text_tokens([t])[0].float().mean(0) for t in audio.right])
    means = np.stack([np.asarray(clip).mean(0) for clip in audio.left])
    frames = torch.from_numpy(means).to(targets)
    frames = (frames - projection.mean.float()) / projection.spread.float()
    mean, centre = frames.mean(0), targets.mean(0)
    centred = (frames - mean).double()
    size = centred.square().mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
    centred /= size
    gram = centred.T @ centred + RIDGE * torch.eye(len(mean), device=mean.device)
    weight = torch.linalg.solve(gram, centred.T @ (targets - centre).double()) / size  # [F, H]
    model.provenance["warm_start"] = True
    linear, scale = projection.linear, projection.scale
    linear.weight.copy_(weight.T / scale)
    if linear.bias is not None:
        linear.bias.copy_((centre - mean.double() @ weight) / scale)
