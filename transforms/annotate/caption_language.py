"""Whether a caption is written in the letters of the language that is wanted."""

from __future__ import annotations

import unicodedata

_LATIN = ("LATIN",)
SCRIPTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cs", "de", "en", "es", "fr", "id", "it", "nl", "pl", "pt"), _LATIN),
    **dict.fromkeys(("ro", "sv", "tr", "vi"), _LATIN),
    "ar": ("ARABIC",),
    "el": ("GREEK",),
    "fa": ("ARABIC",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "th": ("THAI",),
    "uk": ("CYRILLIC",),
    "zh": ("CJK",),
}
"""Language to the scripts that it is written in, as Unicode names begin."""


def is_wrong_script(text: str, language: str) -> bool:
    """Return whether less than half of a text's letters are of the language's scripts.

    That tells English from Chinese or Russian, and not from French: both are written in Latin
    letters. A text without letters is not wrong.

    Example:
        >>> is_wrong_script("一只狗跑过公园。", "en"), is_wrong_script("Un chien court.", "en")
        (True, False)
    """
    scripts = SCRIPTS[language]
    letters = [char for char in text if char.isalpha()]
    fitting = sum(unicodedata.name(char, "").startswith(scripts) for char in letters)
    return bool(letters) and fitting * 2 < len(letters)
