"""Writes ``tests/data/vllm_signatures.json`` from the sources of vLLM, which need no GPU to read.

Usage: ``pip download --no-deps vllm==VERSION``, unpack the wheels into one folder per version, then
``python tests/record_vllm_signatures.py VERSION=FOLDER VERSION=FOLDER``, oldest first.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "vllm_signatures.json"
CLASSES = {
    "vllm.engine.arg_utils.AsyncEngineArgs": "fields",
    "vllm.exceptions.VLLMError": "exists",
    "vllm.outputs.CompletionOutput": "fields",
    "vllm.outputs.RequestOutput": "__init__",
    "vllm.platforms.cuda.CudaPlatformBase": "device_count",
    "vllm.platforms.interface.Platform": "is_cpu is_unspecified",
    "vllm.sampling_params.RequestOutputKind": "members",
    "vllm.sampling_params.SamplingParams": "fields",
    "vllm.sampling_params.StructuredOutputsParams": "fields",
    "vllm.v1.engine.async_llm.AsyncLLM": "from_engine_args generate shutdown",
    "vllm.v1.engine.exceptions.EngineDeadError": "exists",
    "vllm.v1.engine.exceptions.EngineGenerateError": "exists",
}
"""What ``vllm_calls`` uses: a class, and which of its methods or what of it."""


def recorded(root: Path) -> dict[str, list[str]]:
    """Return what each class of a version has: names in order."""
    found: dict[str, list[str]] = {}
    for name, wanted in CLASSES.items():
        module, _, class_name = name.rpartition(".")
        file = root.joinpath(*module.split(".")).with_suffix(".py")
        classes = _classes(file) if file.exists() else {}
        if class_name not in classes:
            continue
        if wanted == "exists":
            found[name] = []
        elif wanted in ("fields", "members"):
            found[name] = _names(class_name, classes)
        else:
            methods = _methods(classes[class_name])
            for method in wanted.split():
                found[f"{name}.{method}"] = methods[method]
    return found


def _classes(file: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _names(class_name: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """Return fields and members, those of bases in the same file first."""
    node = classes[class_name]
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    names = [name for base in bases for name in _names(base, classes)]
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.append(statement.target.id)
        elif isinstance(statement, ast.Assign):
            names += [one.id for one in statement.targets if isinstance(one, ast.Name)]
    return names


def _methods(node: ast.ClassDef) -> dict[str, list[str]]:
    methods = {}
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = statement.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            methods[statement.name] = [one.arg for one in named if one.arg not in ("self", "cls")]
    return methods


if __name__ == "__main__":
    versions = dict(argument.split("=", 1) for argument in sys.argv[1:])
    record = {version: recorded(Path(folder)) for version, folder in versions.items()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
