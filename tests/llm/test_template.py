"""Prompts: where the virtual tokens stand, and no system turn unasked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gemb.llm import FrozenLLM
from gemb.llm.template import end_of_turn, render_prompt

# As Gemma's: a system message is refused.
REFUSING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}: {{ m['content'] | trim }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>model: {% endif %}"
)
# As Llama 2's: a system message is folded into the user's turn.
FOLDING = (
    "{% set s = messages[0]['content'] + ' | ' if messages[0]['role'] == 'system' else '' %}"
    "{% for m in messages if m['role'] != 'system' %}"
    "{% if m['role'] == 'user' %}[{{ s }}{{ m['content'] }}]{% else %} {{ m['content'] }}<|end|>"
    "{% endif %}{% endfor %}"
)
# As SmolLM2's and Qwen2.5's: a system turn comes unasked.
VERBOSE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe "
    "nice.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def shown(tokenizer: Any, text: str, system: str | None = None) -> str:
    prompt = render_prompt(tokenizer, text, system)
    return (
        "".join(tokenizer.convert_ids_to_tokens([*prompt.before]))
        + "@"
        + "".join(tokenizer.convert_ids_to_tokens([*prompt.after]))
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (VERBOSE, "<|im_start|>user\n@Hi<|im_end|>\n<|im_start|>assistant\n"),
        (REFUSING, "<|im_start|>user: @Hi<|im_end|><|im_start|>model: "),
        (FOLDING, "[@Hi]"),
        (None, "@Hi\n"),
    ],
    ids=["verbose", "refusing", "folding", "none"],
)
def test_no_system_turn_unasked(
    chat_tokenizer: Callable[..., Any], template: str | None, expected: str
) -> None:
    assert shown(chat_tokenizer(template), "Hi") == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            VERBOSE,
            "<|im_start|>system\nBrief<|im_end|>\n<|im_start|>user\n@Hi<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (FOLDING, "[Brief | @Hi]"),
        (None, "Brief\n@Hi\n"),
    ],
    ids=["verbose", "folding", "none"],
)
def test_a_system_turn_where_asked(
    chat_tokenizer: Callable[..., Any], template: str | None, expected: str
) -> None:
    assert shown(chat_tokenizer(template), "Hi", "Brief") == expected


def test_media_placeholder_says_where(chat_tokenizer: Callable[..., Any]) -> None:
    assert shown(chat_tokenizer(None), "Look: {media}, what?") == "Look: @, what?\n"
    assert shown(chat_tokenizer(None), "Look {media}") == "Look @\n"


def test_several_placeholders_are_several_places(chat_tokenizer: Callable[..., Any]) -> None:
    tokenizer = chat_tokenizer(None)
    prompt = render_prompt(tokenizer, "Is {media} like {media}{media}?")
    assert prompt.places == 3 and len(prompt) == len("Is  like ?\n")
    parts = [prompt.before, *prompt.between, prompt.after]
    texts = ["".join(tokenizer.convert_ids_to_tokens([*part])) for part in parts]
    assert texts == ["Is ", " like ", "", "?\n"]


def test_end_of_turn_is_the_templates(chat_tokenizer: Callable[..., Any]) -> None:
    assert end_of_turn(chat_tokenizer(VERBOSE)) == 2  # <|im_end|>
    assert end_of_turn(chat_tokenizer(REFUSING)) == 2
    assert end_of_turn(chat_tokenizer(FOLDING)) == 0  # <|end|>
    assert end_of_turn(chat_tokenizer(None)) == 0


def test_smollm2_reads_the_users_turn_and_nothing_else(smollm: FrozenLLM) -> None:
    prompt = smollm.prompt("What digit is in this image?")
    assert smollm.tokenizer.decode(prompt.before) == "<|im_start|>user\n"
    assert smollm.tokenizer.decode(prompt.after) == (
        "What digit is in this image?<|im_end|>\n<|im_start|>assistant\n"
    )
    whole = smollm.tokenizer.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    system = smollm.prompt("Hi", system="Be brief.")
    assert smollm.tokenizer.decode((*system.before, *system.after)) == whole
