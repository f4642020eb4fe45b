"""What models write, in pieces that tokenizers find hard: scripts of many bytes a character, code,
formulas, emoji of several code points, thinking tags and what looks like special tokens."""

LINES = (
    "<think>\nOkay, so Tom has 3 apples and buys 5 more. Let me compute: 3 + 5 = 8. Wait, is that "
    "right? 12345.678 − 9 = 12336.678, and 1,000,000 is a million.\n</think>\n\n",
    "def area(r: float) -> float:\n\treturn 3.14159 * r**2  # πr²\n\n\n    if a != b and not e:\n"
    '        print(f"{x!r:>10}")\r\n',
    "日本語のテキスト:林檎は八個です。中文:苹果有八个,三加五等于八。한국어: 사과는 여덟 개.\n",
    "العربية: ثماني تفاحات. עברית: שמונה תפוחים. हिन्दी: आठ सेब। বাংলা: আটটি আপেল। ไทย: แอปเปิลแปดลูก\n",
    "Ελληνικά: οκτώ μήλα. Русский: восемь яблок. Tiếng Việt: tám quả táo. Ñandú, Straße, ﬁn.\n",
    "👩‍👩‍👧‍👦 🏳️‍🌈 😀😃 🇩🇪🇫🇷 👍🏽 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓀀𓁐 🀄 🃏 ⚡︎\n",
    "∑_{i=1}^{n} i² = \\frac{n(n+1)}{2} ≤ ∞, ∀x∈ℝ: ½x ≠ √2·π ≈ 4.44; $\\sqrt[3]{8}$ ⟹ ∎\n",
    "<|im_start|>trailing   spaces  , a\u00a0hard one, zero\u200bwidth, e\u0301 and é ; "
    "it 's\t\n\n\n",
    '<|channel|>analysis<|message|>We need 8.<|end|> <tool_call>\n{"name": "f"}\n</tool_call>\n',
)
TEXT = "".join(LINES)


def turned(start: int) -> str:
    """All of the text, from its ``start``-th character on and then from its beginning."""
    start %= len(TEXT)
    return TEXT[start:] + TEXT[:start]
