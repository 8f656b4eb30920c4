"""Packaging of kerasft; linters and pytest are set up in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "kerasft" / "__init__.py").read_text()
)[1]

REQUIREMENTS = [
    # Older ones load unsafe files; the train step overrides private names of these.
    "keras>=3.15.1,<3.17",
    "tensorflow>=2.21,<2.22",  # of one minor with tensorflow-text
    "tensorflow-text>=2.21,<2.22",  # its ops are in the exported graphs
    "transformers>=5.0",  # converts tokenizer folders without tokenizer.json
    "tokenizers>=0.22",  # `encode_special_tokens`
    "sentencepiece>=0.2",  # for folders that hold its model alone, such as DeBERTa-v3's
    "protobuf>=4",  # which transformers reads that model with
    "safetensors>=0.5",
    "huggingface_hub>=1.0",
    "tensorflow-datasets>=4.9.9",
    "tensorboard>=2.19",  # TF 2.21 no longer brings it along
    "keras-tuner>=1.4.8",
    "numpy>=1.26",
    "pyarrow>=17",
    "jinja2>=3.1.6",  # runs chat templates; its sandbox had holes before
    "jsonargparse[signatures]>=4.53",
    "rich>=13",
    "matplotlib>=3.9",
    "scikit-learn>=1.5",
    "scipy>=1.13",
    "sacrebleu>=2.4",  # BLEU and chrF as papers compare them
    "rouge-score>=0.1.2",  # ROUGE, by the package that papers name
]

TEST = [
    "torch==2.13.0",  # the reference; the CPU build will do
    "peft==0.21.2",
    "transformers==5.23.0",  # the reference whose key lists and logits we compare with
    "tokenizers==0.23.3",
    "accelerate",
    "datasets>=4",
    "pandas>=2.2",
    "pytest>=8",
    "pytest-xdist>=3.8",  # the suite on two cores
    "hypothesis>=6.100",
    "seqeval==1.2.2",  # the reference of entity scores
    "ruff==0.17.6",
    "nbclient>=0.10",
    "nbformat>=5.10",
    "ipykernel>=6.29",
    "jax==0.10.2",  # the other backend; the CPU build will do
]

setup(
    name="kerasft",
    version=VERSION,
    description="Fine-tune BERT in Keras 3 on TensorFlow, exactly as the reference",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["kerasft", "kerasft.*"]),
    install_requires=REQUIREMENTS,
    extras_require={
        "test": TEST,
        "notebooks": ["jupyterlab>=4", "ipykernel>=6.29"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],  # brings the CUDA libraries along
        "jax": ["jax>=0.10.2"],  # KERAS_BACKEND=jax; jax[tpu] or jax[cuda13] for those
    },
    entry_points={"console_scripts": ["kerasft=kerasft.workflows.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
