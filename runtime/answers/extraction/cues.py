"""How texts state which option is the answer: what they write before it, and behind it."""

import re
from typing import Final

_ADJECTIVE: Final = r"(?:correct|right|best|final|chosen|selected|proper|appropriate|true)"
_ANSWER: Final = (
    rf"(?:(?:{_ADJECTIVE}\s){{0,2}}(?:answers?|ans|solution|conclusion|verdict|response|selection)"
    rf"|{_ADJECTIVE}\s(?:options?|choices?|one|statements?|letters?|alternatives?|pick|responses?)"
    r"|(?:my|the)\s(?:choice|pick|option)|final)"
)
_FILLER: Final = (
    r"(?:\s(?:choice|option|letter|here|then|(?:to|for|of|among|that|we|I)\s[^.:?\n]{1,60}?))?"
)
_IS: Final = (
    r"(?:is|are|was|be|(?:must|should|would|will|has\sto|have\sto|turns\sout\sto|appears\sto"
    r"|seems\sto)\sbe)"
)
_ADVERB: Final = (
    r"(?:[\s,*_]{1,4}(?:therefore|thus|then|hence|clearly|indeed|simply|definitely|obviously|likely"
    r"|most\slikely|probably|actually|in\sfact|of\scourse|given\sby|only|both|just|still|now))?"
)
_MARKS: Final = r"[\s*_`\"')\]]{0,6}"
_ENGLISH: Final = (
    rf"\b{_ANSWER}\b{_FILLER}{_MARKS}(?:[:=→⇒–—]|-+>?(?=\s)|['’]s\b|\b{_IS}\b{_ADVERB}(?!\w)){_MARKS}:?"
    r"|(?:\A|\n)[\s*_]{0,4}(?:∴|⇒|→)\s?(?=\W{0,6}[A-J]\b[\W_]{0,4}(?:\n|\Z))|\bans\.(?=\s?[(*]{0,3}[A-J]\b)"
    r"|\bI['’]d\s(?:say|go\sfor)\b"
    r"|\b(?:choice|option|choose|select|pick|selected|chosen|picked)\s?[*_]{0,2}:"
    r"|\bcorrect(?:\s(?:answer|option|choice)\b|:)|<answer>"
    r"|\b(?:choos(?:e|ing)|chose|select(?:ing|ed)?|pick(?:ing|ed)?|go(?:ing)?\swith|went\swith"
    r"|opt(?:ing)?\sfor|settl(?:e|ing)\son|mark(?:ing)?|leav(?:es|ing)(?:\sus)?(?:\swith|\sonly)?"
    r"|makes|making)\b"
    r"|(?<=\n)[#*_ \t]{0,8}(?:(?:final|correct|the|my)\s)?(?:answer|solution|choice)[*_: \t]{0,6}\n"
    r"|\b(?:so|thus|hence|therefore|consequently|actually|∴)\b,?\s(?:it(?:'s|\sis|\smust\sbe)\s)?"
    r"(?:the\s)?(?:answer\s|option\s|choice\s)?(?=\W{0,6}[A-J]\b[\W_]{0,4}(?:\n|\Z))"
)
_CHINESE_JAPANESE_KOREAN: Final = (
    r"(?:答案】?|正解|正答|答え|解答|回答|答复|答曰|答(?=\s?[:：])|結論|结论|最终选择|正确的?选项|正確的?選項|정답|해답|답변?)"
    r"(?:应该|應該|应当|应|應|就|确实|\s){0,2}(?:是|为|為|选择|選擇|选|選|は|が|은|는|[:=】]|(?<=】)|\s|(?=[A-J](?:\W|\Z)))[\s:]{0,3}"
    r"|(?<!不)(?<!不能)(?<!不应)(?<!不應)(?<!不会)(?:选择|選擇|选|選)(?![项項择擇])[\s:]{0,3}"
)
# "Answer" in other languages, in Latin letters and in others.
ANSWER_ELSEWHERE: Final = (
    r"(?:antwort|réponse|respuesta|resposta|risposta|antwoord|svar(?:et)?|odpověď|odpoveď|odpowiedź"
    r"|odpowiedzią|odgovor|jawaban(?:nya)?|jawapan(?:nya)?|răspuns(?:ul)?|cevap|yanıt|cavab|javob"
    r"|đáp\sán|câu\strả\slời|vastaus|vastus|válasz|atbilde|atsakymas|erantzuna|sagot|jibu"
    r"|ответ(?:ом)?|відповідь|адказ|отговор(?:ът)?|одговор(?:от)?|жауап|хариулт|απάντηση"
    r"|الإجابة|الاجابة|إجابة|الجواب|جواب|پاسخ|[iì]d[aá]h[uù]n|àdáhùn|ànúgọ|àṣàyàn|àmọ̀nà|उत्तर|ה?תשובה|উত্তর|பதில்|సమాధానం|คำตอบ)"
)
_RIGHT_ELSEWHERE: Final = (
    r"(?:richtige|korrekte|bonne|juste|correcta|correta|corretta|juiste|correcte|rätta?|rett"
    r"|riktiga?|rigtige|oikea|helyes|správná|správna|prawidłowa|poprawna|corect|doğru|düzgün"
    r"|tačan|točan|pravilen|правильный|верный|правильна|вірна|правилният|верният|точен|точан"
    r"|дұрыс|зөв|σωστή|सही|সঠিক)"
)
_OTHERS: Final = (
    rf"\b(?:{ANSWER_ELSEWHERE}|lösung|solution|solución|gabarito|soluzione|opción|opção|alternativa|вариант|option|lettre|letra|opzione|lettera|choix)"
    r"(?:\s(?:correct[aeo]?|corrett?[ao]|richtige?|finale?|exacte|juste|bonne|définitive|respuesta"
    r"|правильны[йм]|верны[йм]|الصحيحة|الصحيح|النهائية|النهائي|هي|đúng|cuối\scùng|yang\sbenar|akhir)){0,2}"
    r"[\s*_]{0,4}(?:[:=ঃ–—-]|\b(?:ist|lautet|wäre|est|es|sería|é|è|seria|sarebbe|is|är|er|je|jest|to"
    r"|adalah|ialah|este|это|является|е|є|on|είναι|là|ni|ay|da|este|yra|ir|هي|هو|היא|הוא|है|คือ)(?!\w)"
    r"(?:\s(?:donc|daher|also|somit|portanto|então|quindi|dunque|pues|entonces|alors))?)[\s*_]{0,4}:?"
    r"(?:\s?(?:a|o|la|el|il|die|der)(?=\s[A-J]\b))?"
    r"|\bdoğru\s(?:cevap|yanıt)\b\s?:?|\brichtig\s(?:ist|wäre)\b|सही\s(?:उत्तर|विकल्प)\s?:?|คำตอบ(?:คือ|ที่ถูกต้องคือ)?"
    rf"|(?:(?<=\n)[*_#\s]{{0,6}}|\b{_RIGHT_ELSEWHERE}\s){ANSWER_ELSEWHERE}[*_]{{0,2}}"
    r"(?=[\s*_(]{1,4}[A-J][)*_.!。।\s]{0,4}(?:\n|\Z))"
    r"|\b(?:ich\swähle|je\schoisis|elijo|escolho|scelgo|выбираю|я\sвыбираю)\b"
)
#: What comes before a stated option.
CUES: Final = re.compile(rf"{_ENGLISH}|{_OTHERS}|{_CHINESE_JAPANESE_KOREAN}", re.I)
#: What comes before an option that is stated in place of another one.
CORRECTIONS: Final = re.compile(
    r"(?i:(?P<it>\bit(?:'s|’s|\sis|\smust\sbe|\sshould\sbe))|\bbut(?:\srather|\sinstead)?|\brather"
    r"|\bcorrection:|sondern|而是|но|mais|sino|mas\ssim|bensì)\s"
)
#: What says which option a result is, where nothing else states one.
MATCHES: Final = re.compile(
    r"\b(?:which|this|that|it)\s(?:is|matches|equals|corresponds\sto|means)\s(?:answer\s)?"
    r"(?=(?:the\s)?(?:option|choice)\b)|\((?=(?:answer\s)?(?:option|choice)\b)",
    re.I,
)
#: Headings of lists of options, which state none.
LISTS: Final = re.compile(
    r"(?:\b(?:possible|available|candidate|given|remaining|other)\s(?:answers?\s)?"
    r"(?:answers|options|choices)|(?:\A|\n)[\s*_#>-]{0,8}(?:the\s|answer\s)?(?:options|choices"
    r"|alternatives))[*_\s]{0,4}(?::|are\b)",
    re.I,
)
#: What comes behind an option that is right.
VERDICTS: Final = re.compile(
    r"\s{1,3}(?:is|are|must\sbe|has\sto\sbe|would\sbe|was|(?:seems|appears|looks)(?:\sto\sbe)?)\s(?:(?:both|therefore|thus|indeed|clearly"
    r"|definitely|hence|the|our|my|also|only|most|single|best|final|logical|one)\s){0,4}"
    r"(?:(?:correct|right)(?!\s(?:of|next|above|below|at|here|there|angles?|triangle|side)\b)"
    r"|answers?|best|choice)\b(?!\s*(?:\?|if\b|only\b|unless\b|when\b|that\b|about\b|but\b))"
    r"|\s?[.:]\s?(?:this\sis\s)?correct(?=[*_]{0,3}\s{0,3}(?:[.!,;\n]|\Z))"
    r"|(?P<fits>\s(?:satisfies|works|fits|holds|remains|matches)\b)"
    r"|\s?(?:选项|選項|项|項)?(?:才|就)?(?:是|为|為)?(?:正确|正確|对的|對的|正解|答案)(?!吗|嗎|性)"
    r"|\s?(?:が|は)(?:正解|正しい|答え)(?!の?か|くな|では)"
    r"|\s?[이가은는]\s?(?:정답|답|맞|옳)(?!\S{0,3}\s?아)"
    r"|\s(?:ist|wäre)\s(?:die\s)?(?:richtig|korrekt|Antwort|Lösung)\w*"
    r"|\sest\s(?:la\s)?(?:bonne|correcte?|réponse|exacte|juste)\b"
    r"|\s(?:es|é|è)\s(?:l[ao]\s|a\s|o\s|el\s)?(?:respuesta|resposta|risposta|correct[ao]|corrett[ao]"
    r"|opción\scorrecta)\b|\s?[—–-]?\s?(?:является\s)?(?:правильн|верн)\w*",
    re.I,
)
#: What makes a statement behind it, in the same clause, none.
DOUBT: Final = re.compile(
    r"\b(?:if|whether|suppos\w+|assum\w+|unless|not|never|neither|nor|might|may|could|cannot|why"
    r"|unlikely|impossible|hardly"
    r"|often|many|some|others|students?|people|someone|tempt\w*|wrongly|mistakenly|eliminat\w+"
    r"|thought|initially|at\sfirst|doubt|check|verify|rather\sthan|instead\sof|avoid|without"
    r"|n['’]t|wenn|falls|ob|nicht|pas|si|no|não|non|не|если)\b|n['’]t\b|不|如果|假设|もし",
    re.I,
)
#: What takes back what was stated before it.
RETRACTED: Final = re.compile(
    r"\b(?:wait|actually|correction|oops|mistake|scratch\sthat|no[,:]\s|that(?:'s|’s|\sis|\swas)"
    r"\s(?:wrong|incorrect|not)|let\sme\s(?:recheck|redo|recompute|reconsider)|on\ssecond\sthought)",
    re.I,
)
