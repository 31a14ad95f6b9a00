"""Chat templates: the tokens around the place of the virtual tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2

PLACEHOLDER = "{media}"

# Marks from Unicode's private-use area: no template and no prompt contains them,
# and they are cut out before anything is tokenised.
_MARK, _OTHER_MARK = "\ue0f0media\ue0f1", "\ue0f0other\ue0f1"


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt: token ids before and after the place of the virtual tokens.

    Where they stand in several places, ``between`` holds the token ids between each two of them.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    between: tuple[tuple[int, ...], ...] = ()

    @property
    def places(self) -> int:
        """In how many places virtual tokens stand, as many in each."""
        return 1 + len(self.between)

    def __len__(self) -> int:
        """Its tokens, virtual ones not counted."""
        return len(self.before) + len(self.after) + sum(map(len, self.between))


def render_prompt(tokenizer: Any, text: str, system: str | None = None) -> Prompt:
    """Render ``text`` as the user's turn of the model's chat template.

    The virtual tokens stand at ``{media}``, or right before the text where it
    has no such placeholder; at several, each gets an equal share of them.

    There is no system turn unless ``system`` is given: some templates add one
    unasked (SmolLM2's costs 21 tokens), and that one is left out. A model
    without a chat template reads the text and a line break.

    Raises:
        ValueError: The template does not show the user's text once and unchanged.
    """
    content = text.replace(PLACEHOLDER, _MARK) if PLACEHOLDER in text else _MARK + text
    if tokenizer.chat_template is None:
        rendered = (tokenizer.bos_token or "") + (f"{system}\n" if system else "") + content + "\n"
    else:
        turn = {"role": "user", "content": content}
        if system is not None:
            rendered = _render(tokenizer, [{"role": "system", "content": system}, turn])
        else:
            rendered = _without_unasked_system(tokenizer, turn)
    if rendered.count(_MARK) != content.count(_MARK):
        raise ValueError("the model's chat template does not show the user's text exactly once")
    before, *between, after = (encode(tokenizer, part) for part in rendered.split(_MARK))
    return Prompt(before, after, tuple(between))


def end_of_turn(tokenizer: Any) -> int:
    """The token that the template puts after an assistant's text, such as ``<|im_end|>``."""
    if tokenizer.chat_template is not None:
        turns = [
            {"role": "user", "content": _OTHER_MARK},
            {"role": "assistant", "content": _MARK},
        ]
        rendered = _render(tokenizer, turns, answer_next=False)
        closing = encode(tokenizer, rendered.rpartition(_MARK)[2].lstrip())
        if closing and closing[0] in tokenizer.all_special_ids:
            return closing[0]
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has neither a chat template's end of turn nor an EOS token")
    return int(tokenizer.eos_token_id)


def encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Token ids of ``text`` as it stands, nothing added."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()


def _render(tokenizer: Any, turns: list[dict[str, str]], answer_next: bool = True) -> str:
    # Thinking is switched off where a template knows the switch; others ignore it.
    text = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=answer_next, enable_thinking=False
    )
    assert isinstance(text, str)
    return text


def _without_unasked_system(tokenizer: Any, turn: dict[str, str]) -> str:
    """Render a lone user turn, cutting off a system turn that the template adds by itself.

    The system turn is what the template renders for a system message alone; what
    follows it in the full rendering is the user's turn. Templates that refuse
    such a message, or fold it into the user's turn, are left as they are.
    """
    rendered = _render(tokenizer, [turn])
    system = {"role": "system", "content": _OTHER_MARK}
    try:
        alone = _render(tokenizer, [system], answer_next=False)
        both = _render(tokenizer, [system, turn])
    except (jinja2.TemplateError, ValueError):
        return rendered
    user_turn = both.removeprefix(alone)
    if _OTHER_MARK not in alone or user_turn == both or not rendered.endswith(user_turn):
        return rendered
    bos = tokenizer.bos_token
    if bos and rendered.startswith(bos) and not user_turn.startswith(bos) and rendered != user_turn:
        # ChatML models such as SmolLM2 use <|im_start|>, which opens every turn, as BOS too.
        user_turn = bos + user_turn
    return user_turn
