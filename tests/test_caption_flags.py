"""What is odd about a caption: rules at their limits."""

from __future__ import annotations

import pytest

from transforms.annotate.caption_language import SCRIPTS, is_wrong_script
from transforms.annotate.caption_options import Captioning
from transforms.annotate.caption_quality import (
    echoes_prompt,
    is_empty,
    is_length_outlier,
    is_refusal,
    is_repetitive,
    near_duplicates,
)

PROMPT = "Say first what moves and how, and how that changes from the beginning to the end."


@pytest.mark.parametrize(
    ("text", "is_odd"),
    [
        ("", True),
        (" \n", True),
        ("...!? 。", True),
        ("{}", True),
        ("a", False),
        ("7", False),
        ("狗", False),
    ],
)
def test_empty(text: str, is_odd: bool) -> None:
    assert is_empty(text) is is_odd


@pytest.mark.parametrize(
    ("num_words", "is_odd"), [(0, True), (3, True), (4, False), (1024, False), (1025, True)]
)
def test_length(num_words: int, is_odd: bool) -> None:
    assert is_length_outlier(" ".join(f"w{n}" for n in range(num_words))) is is_odd


@pytest.mark.parametrize(
    ("text", "is_odd"),
    [
        # One word, half of six; of five it may be half.
        ("a a a b c d", True),
        ("a a a b c", False),
        ("a a b c d e", False),
        # Three words in a row, three times.
        ("a b c x a b c y a b c z u v", True),
        ("a b c x a b c y u v w z", False),
        # Fewer than two fifths of eight or more words differ.
        ("a b c a c b b a", True),
        ("a b c d a b d c", False),
    ],
)
def test_repetition(text: str, is_odd: bool) -> None:
    assert is_repetitive(text) is is_odd


def test_near_duplicates_are_neighbours_that_nearly_agree() -> None:
    ten = "a b c d e f g h i j"
    assert near_duplicates([ten, ten.upper(), None, ten]) == [True, True, None, False]
    # Nine of ten words in common are enough, nine of eleven are not.
    assert near_duplicates([ten, "a b c d e f g h i"]) == [True, True]
    assert near_duplicates([ten, "a b c d e f g h i k"]) == [False, False]


@pytest.mark.parametrize(
    ("text", "is_odd"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry.", True),
        (" I cannot see a video.", True),
        ("As an AI language model, I have no eyes.", True),
        ("A man says: I'm sorry.", False),
        ("I can see a dog.", False),
        ("A sorry dog.", False),
    ],
)
def test_refusals(text: str, is_odd: bool) -> None:
    assert is_refusal(text) is is_odd


def test_a_prompt_is_echoed_by_eight_words_in_a_row() -> None:
    assert echoes_prompt("It said: SAY FIRST -- what moves, and how and how!", PROMPT)
    assert not echoes_prompt("Say first what moves and how and then", PROMPT)
    assert not echoes_prompt("", PROMPT)
    assert not echoes_prompt("a dog", "a dog")


@pytest.mark.parametrize(
    ("text", "language", "is_odd"),
    [
        ("A dog runs.", "en", False),
        ("Ein Hund läuft über die Straße.", "en", False),
        ("Собака бежит.", "en", True),
        ("Собака бежит.", "ru", False),
        ("一只狗跑过公园。", "zh", False),
        ("A dog.", "zh", True),
        ("犬が公園を走っています。", "zh", True),
        ("犬が公園を走っています。", "ja", False),
        ("개가 공원을 달린다.", "ko", False),
        ("एक कुत्ता दौड़ता है", "hi", False),
        # Names in other letters are allowed up to half.
        ("一只狗 BMW", "zh", False),
        ("狗 BMW", "zh", True),
        ("12:30 !", "en", False),
        ("", "en", False),
    ],
)
def test_letters_of_a_language(text: str, language: str, is_odd: bool) -> None:
    assert is_wrong_script(text, language) is is_odd


def test_every_language_of_the_option_has_letters() -> None:
    for language in SCRIPTS:
        assert Captioning(captioning_language=language).captioning_language == language
    with pytest.raises(ValueError, match="captioning_language"):
        Captioning(captioning_language="xx")
