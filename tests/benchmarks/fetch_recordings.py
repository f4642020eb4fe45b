"""Fetches the recorded branches that figures in the documentation are of.

They are the probed branches of AutoTTS (https://github.com/zhengkid/AutoTTS): four Qwen3 models on
AIME 2024, AIME 2025 and HMMT 2025, 30 questions by 128 branches each, 30 MB together, at one commit
of that repository. A file is kept only if it has the checksum that stands here; those that are
there already are not fetched again. The default rule was chosen on the four of AIME 2024 alone.

    python tests/benchmarks/fetch_recordings.py --folder build/recordings
    python tests/benchmarks/default_rule.py build/recordings --branches 16,64
"""

import argparse
import hashlib
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

_SOURCE: Final = (
    "https://raw.githubusercontent.com/zhengkid/AutoTTS/3cd98d12c7cb999afc5c21381f22ea5811ac6c05/"
    "efficient_reasoning_controller/test_environment/Qwen3-{model}/{questions}.json"
)
#: SHA-256 by model and questions.
CHECKSUMS: Final = {
    ("0.6B", "aime24"): "6b4297405b494c84afb05b337af315c617513eb2580ed327ca7040b760988a7d",
    ("0.6B", "aime25"): "33f65695ecc78fb777f53bead2128ba1249772b3608c6a22bd4e674488d453e0",
    ("0.6B", "hmmt25"): "7e7c574aaedcd05b36b801c11e3bdd7e2cfd3b7309a2376967cc1e8bc01ebebc",
    ("1.7B", "aime24"): "5d6c9a63e26c7cf60181c53b67adc7017db146bf2ff1e3b9784673cb97313ad1",
    ("1.7B", "aime25"): "77bfb8e8589d0c0da3ccb6d5852c37bf23273e047664a5086d492896a5ae2496",
    ("1.7B", "hmmt25"): "87d158ecdc3551e375891d19917ce02f8fdcadd778afe99ad2ae179f872fb298",
    ("4B", "aime24"): "d99ce8711c60605b7555a7fc6e66cc5ae0abe7ce6b36bf4e712802d26aa7ffdd",
    ("4B", "aime25"): "977f56022b0cd225bd0233aff1f7b39740c45ec79693475ada8c766ee4097a3f",
    ("4B", "hmmt25"): "4bc0b51765a0fc5a3d9a462b1ff317b70577d478c5cb5e06f20fe9d5b73b4b1c",
    ("8B", "aime24"): "be725bdacc64712088d5c947b9b869471ad659c8465c3e5b6e9ff5191bfd0128",
    ("8B", "aime25"): "969bba7bb0276f66d421d069e078e20a9b3ff4a59977393a2733a97ca6e4566c",
    ("8B", "hmmt25"): "561efa74e3dd4ca79b67463c7c5d449762824b4534bdc7267b19d9af29d2a9a9",
}
_TIME_LIMIT: Final = 120.0  # seconds, for a file

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--folder", type=Path, default=Path("build/recordings"))
ARGUMENTS.add_argument("--source", default=_SOURCE, help="a mirror's URL, with {model} {questions}")


def fetch(source: str, path: Path, checksum: str) -> str:
    """What became of a file: one line.

    Raises:
        OSError: it could not be fetched.
        ValueError: it is another one than it was.
    """
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum:
        return "there"
    with urllib.request.urlopen(source, timeout=_TIME_LIMIT) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ValueError("it has another checksum than it had when the figures were made")
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
    return f"fetched, {len(data) / 1e6:.1f} MB"


def main() -> int:
    arguments = ARGUMENTS.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for (model, questions), checksum in CHECKSUMS.items():
        name = model.lower().replace(".", "_")
        path = arguments.folder / f"qwen3_{name}_{questions}_128branches.json"
        url = arguments.source.format(model=model, questions=questions)
        try:
            said = fetch(url, path, checksum)
        except (urllib.error.URLError, OSError, ValueError) as error:
            failed += 1
            said = f"not fetched: {error}"
        print(f"{path}: {said}", flush=True)
    if failed:
        print(
            f"{failed} of {len(CHECKSUMS)} are missing: is {arguments.source.split('/')[2]} "
            "reachable from here? Files from elsewhere may be put there under these names.",
            file=sys.stderr,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
