"""What an answer is, in the text of a branch, and extractors of your own."""

from frontrunner.runtime.answers.registry import BOXED as BOXED
from frontrunner.runtime.answers.registry import Extractor as Extractor
from frontrunner.runtime.answers.registry import extractor_names as extractor_names
from frontrunner.runtime.answers.registry import register_extractor as register_extractor

__all__ = [
    "BOXED",
    "Extractor",
    "extractor_names",
    "register_extractor",
]
