"""What models are asked that get a caption to better: the second pass, and text models."""

from __future__ import annotations

from transforms.annotate.caption_prompts import check_prompt

CAPTION = {"caption": "the caption that there is"}
"""The placeholder that these prompts have beside those of clips."""

SECOND_PASS = (
    "Another look at this video gave the description below. Compare it with what you see. Correct "
    "what is wrong, leave out what cannot be seen, and add what is missing, above all movements, "
    "their order and their direction. Keep what is right in its own words, and the form and length "
    "as they are. Answer with the corrected description alone.\n\nDescription:\n{caption}"
)
"""Prompt of the second pass, in our own words (contract §1.14)."""

ENHANCE_PROMPTS: dict[str, str] = {
    "default": (
        "Below is the description of a video clip, which you cannot see. Rewrite it as one fluent "
        "paragraph. Keep every fact and the order of events, say each thing once, and add "
        "nothing: no guess, no opinion, no remark about the text or the video as such. Answer "
        "with the paragraph alone.\n\nDescription:\n{caption}"
    ),
    "av": (
        "Below is the description of a clip from a camera in a car, which you cannot see. Rewrite "
        "it as one fluent paragraph for people who teach cars to drive: first the road, weather "
        "and light, then other road users with place and movement relative to the car, then what "
        "the car does, in the order of events, with the usual terms of traffic. Keep every fact, "
        "say each thing once, and add nothing. Answer with the paragraph alone."
        "\n\nDescription:\n{caption}"
    ),
    "av-surveillance": (
        "Below is the description of a clip from a fixed camera that watches traffic, which you "
        "cannot see. Rewrite it as one fluent paragraph: first the place as the camera sees it, "
        "then each vehicle and person with kind, colour, lane and movement, then any incident "
        "with its causes and its course, in the order of events, with the usual terms of traffic. "
        "Keep every fact, say each thing once, and add nothing. Answer with the paragraph alone."
        "\n\nDescription:\n{caption}"
    ),
}
"""Prompts of our own for upstream's variants; upstream offers ``av`` and has no text for it."""


def with_caption(prompt: str, *, option: str) -> str:
    """Return a prompt of the user's about a caption; one without ``{caption}`` gets it at its end.

    Raises:
        UsageError: It is empty, or names an unknown placeholder.

    Example:
        >>> with_caption("Shorten this.", option="enhance_captions_prompt_text")
        'Shorten this.\\n\\n{caption}'
    """
    names = check_prompt(prompt, option=option, more=CAPTION)
    return prompt if "caption" in names else f"{prompt.rstrip()}\n\n{{caption}}"
