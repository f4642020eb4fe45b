"""The characters of all scripts, as LaTeX writes them."""

import re
import unicodedata
from typing import Final

_CHARACTERS: Final = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\uff0d", "-"),
    **dict.fromkeys("\u2044\u2215", "/"),
    **dict.fromkeys("\u00b7\u22c5\u2219\u2022", "\\cdot "),
    **dict.fromkeys("°º˚", "^\\circ "),
    **dict.fromkeys("\u2019\u2018\u2032\u02b9", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb「」『』", '"'),
    **dict.fromkeys("、，", ","),
    **dict.fromkeys("。．", "."),
    **dict.fromkeys("\u066b", "."),  # the decimal and thousands separators of Arabic
    **dict.fromkeys("\u066c", ","),
    **dict.fromkeys("∅⌀", "\\emptyset "),
    **dict.fromkeys("→⟶➡➔➜", "\\to "),
    **dict.fromkeys("⇒⟹", "\\Rightarrow "),
    **dict.fromkeys("≈≃", "\\approx "),
    **dict.fromkeys("≤⩽≦", "\\le "),
    **dict.fromkeys("≥⩾≧", "\\ge "),
    **dict.fromkeys("µμ", "\\mu "),
    **dict.fromkeys("εϵ", "\\epsilon "),
    **dict.fromkeys("θϑ", "\\theta "),
    **dict.fromkeys("φϕ", "\\phi "),
    **dict.fromkeys("∣｜", "|"),
    **dict.fromkeys("∗", "*"),
    **dict.fromkeys("✓✔✅！？", ""),
    **dict.fromkeys("【〔", "["),
    **dict.fromkeys("】〕", "]"),
    "¬": "\\neg ", "⊂": "\\subset ", "⊆": "\\subseteq ", "∥": "\\parallel ", "⊥": "\\perp ",
    "↔": "\\leftrightarrow ", "⇔": "\\Leftrightarrow ", "∘": "\\circ ", "′": "'", "″": "''",
    "￥": "¥", "￡": "£", "￦": "₩",
    # Python's patterns match them for "i" where case does not count.
    "İ": "I", "ı": "i",
    "×": "\\times ", "÷": "\\div ", "±": "\\pm ", "∓": "\\mp ", "√": "\\sqrt ", "∛": "\\sqrt[3]",
    "∜": "\\sqrt[4]", "∞": "\\infty ", "∈": "\\in ", "∪": "\\cup ", "∩": "\\cap ", "≠": "\\ne ",
    "≡": "\\equiv ", "∠": "\\angle ", "△": "\\triangle ", "…": "\\ldots ", "⋯": "\\ldots ",
    "¢": "\\text{ cents}", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ",
    "∑": "\\sum ", "∏": "\\prod ", "∫": "\\int ", "⟨": "\\langle ", "⟩": "\\rangle ", "‖": "\\|",
    "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "δ": "\\delta ", "λ": "\\lambda ",
    "π": "\\pi ", "ρ": "\\rho ", "σ": "\\sigma ", "τ": "\\tau ", "ω": "\\omega ",
    "Δ": "\\Delta ", "Σ": "\\Sigma ", "Ω": "\\Omega ", "ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}",
    "ℕ": "\\mathbb{N}", "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}", "∧": "\\land ", "∨": "\\lor ",
}  # fmt: skip
# Raised and lowered characters: each run of them is one exponent or index.
_RAISED: Final = dict(
    zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵃᵇᶜᵈᵉᵏᵐᵖʳˢᵗᵘᵛʷˣʸᶻᵀ", "0123456789+-()niabcdekmprstuvwxyzT", strict=True)
)
_LOWERED: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₓₙₖₘₚₜᵢⱼ", "0123456789+-()aexnkmptij", strict=True))
_SCRIPTS: Final = tuple(
    (mark, characters, re.compile(f"[{''.join(characters)}]+"))
    for mark, characters in (("^", _RAISED), ("_", _LOWERED))
)
# `log₂8` would be one to the base 28 without the braces.
_INDEX_OF_LOGARITHM: Final = re.compile("(?<=log)[₀₁₂₃₄₅₆₇₈₉]+(?=[^₀₁₂₃₄₅₆₇₈₉])")
# `5m²` is an area, where `5m^2` may well be a product.
_SQUARE_UNIT: Final = re.compile(r"(?<=\d)(m|ft|in|yd|mi)(?=[²³])")
# Brackets that only mark an answer, as Chinese texts do. Around a list they are those of a range,
# and behind other text they hold a note. `[5]` is a list of one.
_MARKED: Final = re.compile(r"(^|[:：=＝])\s*[【〔]([^【】〔〕\[\],，、]*)[】〕]\s*([.。]?\s*)$")
_RAISED_ROOT: Final = re.compile(r"([³⁴⁵])√")


def plain_characters(text: str) -> str:
    """Return `text` with usual digits, signs and spaces, and without what cannot be seen."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = unicodedata.normalize("NFC", text)
    text = _INDEX_OF_LOGARITHM.sub(_index_in_braces, text)
    text = _MARKED.sub(r"\1\2\3", text)
    text = _SQUARE_UNIT.sub(r" \1", text)
    text = _RAISED_ROOT.sub(lambda match: f"\\sqrt[{_RAISED[match[1]]}]", text)
    for mark, characters, run in _SCRIPTS:

        def plain(match: re.Match[str], mark: str = mark, to: dict[str, str] = characters) -> str:
            content = "".join(to[character] for character in match[0])
            return f"{mark}{content}" if len(content) == 1 else f"{mark}{{{content}}}"

        text = run.sub(plain, text)
    return "".join(map(_plain_character, text)).strip()


def _index_in_braces(match: re.Match[str]) -> str:
    return f"_{{{''.join(_LOWERED[digit] for digit in match[0])}}}"


def _plain_character(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    plain = _CHARACTERS.get(character)
    if plain is not None:
        return plain
    match unicodedata.category(character):
        case "Nd":  # the digits of all scripts
            return str(unicodedata.decimal(character))
        case "No":  # fractions: ½, ⅓
            top, _, bottom = unicodedata.normalize("NFKC", character).partition("\u2044")
            return f"\\frac{{{top}}}{{{bottom}}}" if bottom else character
        case "Zs" | "Zl" | "Zp":
            return " "
        # Controls (NUL), format marks (right-to-left, zero width), lone surrogates. Nobody sees
        # them, so two answers that look the same would be different votes.
        case "Cc" | "Cf" | "Cs":
            return " " if character.isspace() else ""
    # Full-width forms, the letters of mathematical alphabets, units in one character (㎡, ℃).
    compatible = unicodedata.normalize("NFKC", character)
    if compatible == character:
        return character
    plain = "".join(_CHARACTERS.get(part, part) for part in compatible)
    return plain if plain.isascii() and plain.isprintable() else character
