"""Writes the table in ``docs/models.md``: ``python -m beam_pipeline.docs.models``."""

from __future__ import annotations

from beam_pipeline.commands.models import about
from beam_pipeline.docs.markdown import DOCS, table
from transforms.models.catalogue import ENTRIES
from transforms.models.catalogue_entry import Entry

MODELS_PAGE = DOCS / "models.md"
_BEGIN, _END = "<!-- catalogue -->", "<!-- end of catalogue -->"
_OPTIONS = {
    "shots": "`splitting_algorithm`",
    "caption": "`captioning_algorithm`",
    "embedding": "`embedding_algorithm`",
    "text": "`enhance_captions_lm_variant`",
    "part": "part of another",
}
_HEADS = ["name", "option", "repository", "commit", "size", "licence", "GPU memory", "gives"]


def models_page(text: str) -> str:
    """Return the page with its table made anew.

    Args:
        text: The page as it is; what stands outside the two marks stays.
    """
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n".join([before + _BEGIN, "", *table(_HEADS, map(_cells, ENTRIES)), "", _END + after])


def _cells(one: Entry) -> list[str]:
    names = ", ".join(f"`{name}`" for name in (one.name, *one.aliases))
    if one.hub_id is None:
        return [names, _OPTIONS[one.task], "served by an API", "", "", "", "", one.output]
    gated = ", gated" if one.gated else ""
    code = ", with code of its own" if one.remote_code else ""
    return [
        names,
        _OPTIONS[one.task],
        f"`{one.hub_id}`{gated}{code}",
        f"`{one.revision[:12]}`" if one.revision else "`main`",
        about(one.num_bytes),
        one.licence,
        about(one.gpu_memory_bytes) if one.task != "part" else "",
        one.output,
    ]


if __name__ == "__main__":
    MODELS_PAGE.write_text(models_page(MODELS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
