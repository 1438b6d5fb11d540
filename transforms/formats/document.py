"""How the format of a JSON file is declared: one class per object, one docstring per field.

A field says with ``upstream()`` or ``ours()`` where it comes from. The schemas and the tables in
``docs/formats`` are made from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Uuid = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""Hash of the options that change the bytes of a stage."""
Ratio = Annotated[str, Field(pattern=r"^\d+/[1-9]\d*$")]
"""An exact fraction, numerator/denominator."""
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
SchemaVersion = Literal[1]
"""Equals ``transforms.run_context.SCHEMA_VERSION``."""
ClipStage = Literal[
    "cut",
    "motion_score",
    "motion_filter",
    "black_score",
    "frozen_score",
    "sharpness_score",
    "brightness_score",
    "letterbox_score",
    "black_filter",
    "frozen_filter",
    "sharpness_filter",
    "brightness_filter",
    "letterbox_filter",
    "previews",
    "embeddings",
    "captions",
    "predict_dataset",
]
"""Names in ``stages``: what a clip has been through."""


class Document(BaseModel):
    """A JSON object of a file; a field that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def upstream(*, unit: str = "", when: str = "", **bounds: Any) -> Any:
    """Return the declaration of a field that Cosmos-Curate writes too (contract §1.16, §2.7).

    Args:
        unit: For example ``seconds``, ``frames``, ``bytes``.
        when: When the field is there; empty: always. A field that is not always there is left
            out, never null.
        bounds: As for ``pydantic.Field``.
    """
    return _field("upstream", unit, when, bounds)


def ours(*, unit: str = "", when: str = "", **bounds: Any) -> Any:
    """Return the declaration of a field that only this program writes; as ``upstream``."""
    return _field("ours", unit, when, bounds)


def _field(origin: str, unit: str, when: str, bounds: dict[str, Any]) -> Any:
    extra = {"x-origin": origin}
    if unit:
        extra["x-unit"] = unit
    if when:
        extra["x-when"] = when
    return Field(None if when else ..., json_schema_extra=dict(extra), **bounds)


class _Schema(GenerateJsonSchema):
    """No titles of fields, no defaults (they only mean "may be left out"), checked keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        # Pydantic writes patternProperties, which let every key pass that does not match.
        keys = self.generate_inner(schema["keys_schema"])
        values = self.generate_inner(schema["values_schema"])
        named = {} if keys == {"type": "string"} else {"propertyNames": keys}
        return {"type": "object", **named, "additionalProperties": values}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def json_schema(document: type[Document]) -> dict[str, Any]:
    """Return the JSON schema of a file, draft 2020-12.

    Beside the standard's keywords each field has ``x-origin`` (``upstream`` or ``ours``) and, where
    they apply, ``x-unit`` and ``x-when``; validators pass over them.
    """
    schema = document.model_json_schema(schema_generator=_Schema)
    return {"$schema": SCHEMA_DIALECT, **schema}
