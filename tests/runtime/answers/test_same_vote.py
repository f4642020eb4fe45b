"""Which answers are the same vote, in many spellings, through the real worker."""

import random
import re
from collections.abc import Awaitable, Callable
from itertools import combinations, pairwise
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends import run_virtual
from tests.profiles import examples

from frontrunner.runtime.answers import AnswerClusters, Equivalence, WorkerPool

pytestmark = pytest.mark.slow  # it starts processes of its own

PATIENT_S = 30.0
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "answers.md"

SAME = [
    ("seven dozen", "84"),
    ("a thousand", "1000"),
    ("three fourths", r"\frac34"),
    ("a third", "1/3"),
    ("minus two fifths", "-0.4"),
    ("负七", "-7"),
    ("五分之二", r"\frac25"),
    ("百分之三十", r"30\%"),
    ("共有18人", "18"),
    ("有7个", "7"),
    ("0.9 kJ/(kg·°C)", "0.9"),
    ("0.9 kJ/(kg K)", "0.9"),
    ("45 CHF", "CHF 45"),
    ("NOK 90", "90"),
    (r"\text{K}_2\text{SO}_3", "K_2SO_3"),
    (r"9,\! 876,\! 543", "9876543"),
    (r"(\text{C})\ 8", "C"),
    (r"\text{(C) Venus}", "C"),
    (r"t \in [0,9], t \ne 4", r"[0,4)\cup(4,9]"),
    (r"t \in [0,9] \text{ and } t \ne 4", r"[0,4)\cup(4,9]"),
    (r"\mathbb{R}^+", r"(0,\infty)"),
    (r"(0, \pm 7)", "(0,7), (0,-7)"),
    (r"(3\pm\sqrt2, 5)", r"(3+\sqrt2,5), (3-\sqrt2,5)"),
    (r"\left<4,-1\right>", r"\langle 4,-1 \rangle"),
    (r"\langle 4,-1 \rangle", "(4,-1)"),
    ("P -> Q", r"P \to Q"),
    ("x>a", r"(a,\infty)"),
    ("p<q", "q>p"),
    (r"p\ne q", r"q\ne p"),
    ("x>1, y<2", "y<2, x>1"),
    ("(x,z)=(5,6)", "(5,6)"),
    ("【5】", "5"),
    ("【5】。", "5"),
    ("x=〔5〕", "x=5"),
    ("【0，1】", "[0,1]"),
    ("[5]", r"\left[ 5 \right]"),
    ("5 m", "5"),
    (r"5\text{ m}", "5"),
    (r"5\text{m}", "5"),
    (r"5\,\text{s}", "5"),
    (r"5\mathrm{\,cm}", "5"),
    (r"5\mathrm{~kg}", "5"),
    (r"5~\mathrm{m}", "5"),
    (r"3\mathrm{e}^2", "3e^2"),
    (r"\mathrm{i}", "i"),
    (r"2\mathbf{a}+\mathbf{b}", "2a+b"),
    ("3 thousand", "3000"),
    ("2.5 million", "2500000"),
    ("2.5 million", "2,500,000"),
    ("4 dozen", "48"),
    ("7 hundred", "700"),
    (r"\$5 million", "5 million"),
    ("5 million dollars", "5 million"),
    ("8:00 a.m.", "8:00 AM"),
    (r"8:00 \text{ a.m.}", "8:00 am"),
    (r"25\text{ cents}", r"\$0.25"),
    ("25¢", "25 cents"),
    (r"\frac{\pi}{3}\text{ radians}", r"\frac{\pi}{3}"),
    (r"10\text{ square inches}", "10"),
    ("10 in^2", "10"),
    ("10 in²", "10"),
    ("12 cm³", "12"),
    (r"12\text{ cm}^{3}", "12"),
    ("12 cubic feet", "12"),
    ("12 ft.", "12"),
    ("30 mph", "30"),
    (r"30\text{ miles per hour}", "30"),
    ("30 m/s", "30"),
    (r"30\,\text{m}\cdot\text{s}^{-1}", "30"),
    ("45 degrees", "45"),
    ("45 deg", "45"),
    (r"45^{\circ}\text{C}", "45"),
    ("45°C", "45"),
    (r"\qty{5}{cm}", "5"),
    (r"\SI{5}{\meter}", "5"),
    ("¥500", "500"),
    ("₹500", "500"),
    ("USD 500", "500"),
    ("500 USD", "500"),
    (r"\$1,000", "1000"),
    (r"-\$5", "-5"),
    ("$-5$ dollars", "-5"),
    ("5円", "5"),
    ("12人", "12"),
    ("21st", "21"),
    ("50%", "50 percent"),
    (r"10\text{-}20", "10-20"),
    ("5–10", "5-10"),
    ("3 - 1", "3-1"),
    ("2 345", "2345"),
    ("3 hours 30 minutes", "3 hr 30 min"),
    ("3 hours and 30 minutes", "3 hours, 30 minutes"),
    ("09:15", "9:15"),
    ("1011_{2}", "1011_2"),
    ("(1011)_2", "1011_2"),
    (r"1011_{\text{two}}", "1011_2"),
    ("1^2+2^2+3^2+4^2+5^2+6^2", "91"),
    ("x^7+x^6+x^5+x^4+x^3+1", "1+x^3+x^4+x^5+x^6+x^7"),
    ("x^5y^4+x^4y^3+x^3y^2", "x^3y^2+x^4y^3+x^5y^4"),
    (r"\{2,2,3\}", r"\{2,3\}"),
    (r"\{3,4\}", r"\{4,3\}"),
    ("3,4", "4,3"),
    ("3 and 4", "3, 4"),
    (r"3\text{ and }4", "4,3"),
    ("3; 4", "3,4"),
    (r"\pm 3", "3,-3"),
    (r"x=\pm 3", r"\pm 3"),
    (r"2\pm\sqrt{3}", r"2+\sqrt{3},2-\sqrt{3}"),
    ("x=1,y=2", "y=2,x=1"),
    (r"a=1 \text{ or } a=2", "1,2"),
    ("0,250", "0, 250"),
    ("2,300", "2, 300"),
    ("2,300", "2300"),
    ("1,234,567 and 8", "1234567, 8"),
    (r"\frac{2,500}{5}", "500"),
    ("3 000 000", "3000000"),
    ("2.345,6", "2345.6"),
    ("2e-4", "0.0002"),
    ("3.0E8", r"3\times10^8"),
    ("1e3", "1000"),
    (r"0.\overline{6}", "2/3"),
    (r"0.\dot{3}", "1/3"),
    (r"0.1\overline{6}", "1/6"),
    ("0.(142857)", "1/7"),
    (r"0.666\ldots", "2/3"),
    ("0.1666...", "1/6"),
    ("2 3/4", "11/4"),
    (r"2\ 3/4", "2.75"),
    ("¾", "0.75"),
    ("⅔", "2/3"),
    ("10⁻⁵", "0.00001"),
    ("2⁵", "32"),
    (r"\cfrac{1}{2}", "0.5"),
    (r"\log_{10}1000", "3"),
    (r"\log_2 16", "4"),
    (r"\prod_{i=1}^{4}i", "24"),
    ("√20", "2√5"),
    ("√49", "7"),
    ("5√2", r"5\sqrt{2}"),
    ("√(9)", "3"),
    ("√(a+b)", r"\sqrt{a+b}"),
    ("√x", r"\sqrt{x}"),
    ("√25", "5"),
    (r"\tan 45^\circ", "1"),
    (r"\tan 45°", "1"),
    (r"\sin(30^\circ)", "0.5"),
    (r"\cos 90^\circ", "0"),
    (r"\sin 45^\circ", r"\frac{\sqrt2}{2}"),
    ("3pi/4", r"\frac{3\pi}{4}"),
    ("2*pi", r"2\pi"),
    ("exp(2)", "e^2"),
    ("ln(x)", r"\ln x"),
    ("cos(x)", r"\cos x"),
    ("tan(x)", r"\tan(x)"),
    ("abs(-3)", "3"),
    ("6 choose 2", "15"),
    ("sqrt(8)", r"2\sqrt{2}"),
    ("x <= 2", r"x \le 2"),
    ("x != 2", r"x \ne 2"),
    ("y=3x-2", "3x-y-2=0"),
    ("y=3x-2", "y-3x+2=0"),
    ("y = -x", "x+y=0"),
    ("x^2+y^2=4", "x^2+y^2-4=0"),
    ("2x+2y=4", "x+y=2"),
    ("y=x^3", "x^3"),
    (r"\text{Volume} = 10\pi", r"10\pi"),
    (r"V = 10\pi", r"10\pi"),
    ("3+4=7", "7"),
    (r"\frac{1}{4}=0.25", "0.25"),
    ("= 12", "12"),
    (r"\text{The final answer is } 12", "12"),
    (r"\text{Result: }12", "12"),
    ("Answer: 12", "12"),
    ("The answer is 12", "12"),
    (r"12 \text{ (rounded)}", "12"),
    ("12 (approx)", "12"),
    (r"12, \text{ because } n>0", "12"),
    (r"\text{(B)}\ 7", "B"),
    (r"\text{Option A}", "A"),
    (r"\text{B}", "B"),
    (r"n \equiv 5 \pmod{9}", r"5 \pmod{9}"),
    (r"5 \pmod 9", r"5 \pmod{9}"),
    (r"5 \mod 9", r"5 \pmod 9"),
    ("*73*", "73"),
    ("**Yes**", "yes"),
    ("73\\\\\\\\", "73"),
    (r"\boldsymbol{x}", "x"),
    (r"\mathtt{12}", "12"),
    (r"\textcolor{blue}{7}", "7"),
    (r"7\vspace{2mm}", "7"),
    (r"\displaystyle 7", "7"),
    ("7。", "7"),
    (r"\left\{1,2\right\}", r"\{1,2\}"),
    (r"\begin{bmatrix}1 & 2\end{bmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-2"),
    ("FALSE", "False"),
    ("YES", "yes"),
    ("Red, Blue", "Blue, Red"),
    (r"\varnothing", r"\{\}"),
    (r"\text{No real solutions}", "no real solutions"),
    (r"x<2 \text{ or } x>5", r"(-\infty,2)\cup(5,\infty)"),
    (r"x > 5 \text{ or } x < 2", r"x<2 \text{ or } x>5"),
    (r"x>2 \text{ and } x<5", "2<x<5"),
    (r"x>2 \text{ and } x<5", "(2,5)"),
    (r"2 < x \le 5", "(2,5]"),
    ("5 > x > 2", "(2,5)"),
    (r"x \in (2,5)", "2<x<5"),
    (r"\begin{cases}a=1\\b=2\end{cases}", "a=1, b=2"),
    (r"\{x : x<2\}", "x<2"),
    (r"\{x\in\mathbb{R}\mid x<2\}", r"(-\infty,2)"),
    (r"\mathbb{R}\setminus\{2\}", r"x\ne 2"),
    (r"x \in \mathbb{R}", r"\mathbb{R}"),
    ("2x>4", "x>2"),
    ("-2x>4", "x<-2"),
    ("4、5", "4,5"),
    ("x⁵", "x^5"),
    ("a₁a₂", "a_1a_2"),
    ("𝑦²", "y^2"),
    ("x^{12}", "x¹²"),
    ("３．５", "3.5"),
    ("۳", "3"),
    ("β", r"\beta"),
    ("٣", "3"),
    (r"\angle A = 30^\circ", "30"),
    ("a^2-b^2", "(a-b)(a+b)"),
    (r"\frac{a}{b}", "a/b"),
    (r"\infty", r"+\infty"),
    ("1.0", "1"),
    ("-0", "0"),
    ("007", "7"),
    (r"\frac{6}{3}", "2"),
    (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
    ("(x+1)(x-1)", "x^2-1"),
    ("xy", "yx"),
    ("ab+ba", "2ab"),
    ("P(A)=0.3", "0.3"),
    ("f(x)=2x", "2x"),
    ("a_n=2n+1", "2n+1"),
    (r"\frac{dy}{dx}=2x", "2x"),
    ("5+2i", "2i+5"),
    (r"\sqrt{-1}", "i"),
    (r"\$12.50", "12.5"),
    (r"12.50\text{ dollars}", "12.5"),
    ("(1,2),(3,4)", "(3,4),(1,2)"),
    (r"[1,2]\cup[3,4]", r"[3,4]\cup[1,2]"),
    (r"\text{A}", "A"),
    ("x=3", "3"),
    (r"x = 3 \text{ cm}", "3"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"\frac{1}{-2}", "-0.5"),
    ("2^{-3}", "1/8"),
    (r"3 \frac{1}{4}", "13/4"),
    (r"3\cdot\frac{1}{4}", "3/4"),
    ("1,000.50", "1000.5"),
    (r"6 \text{ and } 7", "7, 6"),
    (r"\text{Alice}", "alice"),
    ("12{,}000", "12000"),
    (r"25\pi cm", r"25\pi"),
    (r"7 \frac{\text{m}}{\text{s}}", "7"),
    (r"8\,\Omega", "8"),
    ("4 kΩ", "4"),
    ("6 µs", "6"),
    ("20℃", "20"),
    (r"70^\circ\mathrm{F}", "70"),
    (r"\num{4321}", "4321"),
    (r"\ang{45}", "45"),
    (r"\pounds 8", "8"),
    (r"US\$8", "8"),
    (r"7^{\text{th}}", "7"),
    (r"(3\text{ cm}, 4\text{ cm})", "(3,4)"),
    ("3 cm, 4 cm", "3,4"),
    ("2,500x", "2500x"),
    (r"4 \times 2,000", "8000"),
    (r"\sqrt{4,096}", "64"),
    ("(2,000, 3,000)", "(2000, 3000)"),
    ("2'345'678", "2345678"),
    ("7万", "70000"),
    ("2.5億", "250000000"),
    (r"\sin^2 30^\circ", r"\frac14"),
    (r"\frac{1}{\sin 30^\circ}", "2"),
    (r"\cos 60\degree", "0.5"),
    ("eˣ", "e^x"),
    ("Aᵀ", "A^T"),
    ("aᵢ", "a_i"),
    ("∛27", "3"),
    ("∜16", "2"),
    ("³√8", "2"),
    ("√π", r"\sqrt\pi"),
    ("(-inf, 4)", r"(-\infty,4)"),
    ("alpha + beta", r"\alpha+\beta"),
    ("2 theta", r"2\theta"),
    ("(1,2) U (3,4)", r"(1,2)\cup(3,4)"),
    ("+-3", r"\pm 3"),
    ("2^-1", "1/2"),
    ("e^(-1)", r"\frac1e"),
    (r"{6 \choose 2}", "15"),
    (r"\binom62", "15"),
    (r"\lg 1000", "3"),
    ("log2(16)", "4"),
    ("floor(2.7)", "2"),
    ("ceil(2.1)", "3"),
    ("x=3y+1", "x-3y=1"),
    ("x+y=5", "x=5-y"),
    ("xy=2", r"y=\frac{2}{x}"),
    ("z=6-2x-3y", "2x+3y+z=6"),
    ("(x,y)=(2,3)", "(2,3)"),
    (r"\begin{aligned} x&=1 \\ y&=2 \end{aligned}", "x=1, y=2"),
    (r"x=1 \quad y=2", "x=1, y=2"),
    (r"x>2 \lor x<-2", "x<-2 or x>2"),
    ("x<-2, x>2", "x<-2 or x>2"),
    ("|x|<3", "-3<x<3"),
    ("|x|>3", "x<-3 or x>3"),
    ("]1,3[", "(1,3)"),
    (r"x\not=1", r"x\ne 1"),
    ("about 12", "12"),
    (r"\text{approximately } 12", "12"),
    (r"\text{Therefore, } x = 12", "12"),
    ("12 (since x>0)", "12"),
    (r"P(X=2) = \frac13", "1/3"),
    (r"n \equiv 5 (\text{mod } 12)", r"5 \pmod{12}"),
    ("(C) 12", "C"),
    (r"\text{Answer: C}", "C"),
    ('"73"', "73"),
    ("73！", "73"),
    (r"\large 12", "12"),
    (r"\lbrace 1,2\rbrace", r"\{1,2\}"),
    (r"\begin{smallmatrix}1\\2\end{smallmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("<b>12</b>", "12"),
    ("12<|im_end|>", "12"),
    (r"\mathcal{O}(n)", "O(n)"),
    ("ϕ", r"\varphi"),
    ("⌊x⌋", r"\lfloor x\rfloor"),
    (r"110_{\text{base }2}", "110_2"),
    (r"y^\prime", "y'"),
    ("45, 135", "135, 45"),
    (r"\mathrm{C_6H_{12}O_6}", "C6H12O6"),
    (r"\ce{SO2}", "SO_2"),
    (r"\$7.5M", r"\$7.5 million"),
    (r"\$3bn", "3 billion"),
    ("3 млн рублей", "3000000"),
    ("7 Millionen", "7 million"),
    ("7 тыс. рублей", "7000"),
    ("7 рублей", "7 км"),
    ("7 mètres", "7 Äpfel"),
    ("seven", "7"),
    ("seventy-three", "73"),
    ("one hundred and five", "105"),
    ("two thousand three hundred", "2300"),
    ("二十一", "21"),
    ("三百零五", "305"),
    (r"4.2\ \mathrm{kg\cdot m^{2}}", "4.2"),
    (r"8.3\ \mathrm{J/(mol\cdot K)}", "8.3"),
    (r"60\textdegree", "60"),
    (r"60\deg", "60"),
    ("01011_2", "1011_2"),
    ("0b1011", "1011_2"),
    ("0xff", "FF_{16}"),
    ("1a3_{16}", "1A3_{16}"),
    ("0x1A", "0x1a"),
    (r"17 \pmod 5", r"2 \pmod 5"),
    (r"-1\pmod 7", r"6\pmod{7}"),
    ("10_000", "10000"),
    (r"\{3,000, 4,000\}", r"\{3000,4000\}"),
    ("[3,000; 4,000]", "[3000,4000]"),
    ("√1,024", "32"),
    ("√-4", "2i"),
    (r"x=\cos 60^\circ", r"\frac{1}{2}"),
    (r"2\text{ cis }60^\circ", r"1+\sqrt{3}i"),
    (r"\operatorname{cis}\theta", r"e^{i\theta}"),
    (r"\int_0^1 x^2 dx", r"\frac{1}{3}"),
    (r"\int_0^2 y\,dy", "2"),
    (r"\sqrt[3]{-27}", "-3"),
    (r"\sqrt[3]{x^3}", "x"),
    ("7!!", "105"),
    ("2(3)", "6"),
    ("(2)(3)(4)", "24"),
    (r"\frac{1}{2}(3)", "1.5"),
    (r"\pi(R^2-r^2)", r"\pi R^2-\pi r^2"),
    ("e^{i(x+1)}", "e^{ix+i}"),
    ("1/2 x+3", r"\frac{1}{2}x+3"),
    (r"\sqrt{3}/2 i", r"\frac{\sqrt{3}}{2}i"),
    ("_{7}C_2", "21"),
    (r"\mathbf{v}\cdot\mathbf{w}", r"\mathbf{w}\cdot\mathbf{v}"),
    (r"\text{B. }7", "B"),
    ("option b", "B"),
    (r"\text{No, because it is odd}", "no"),
    ("Paris, since it is the capital", "Paris"),
    ("There are 12 ways", "12"),
    ("The total number of ways is 12.", "12"),
    ("约12", "12"),
    ("答案：12", "12"),
    ("「12」", "12"),
    ("12<br>", "12"),
    (r"12\quad\blacksquare", "12"),
    (r"12\qquad\text{(3)}", "12"),
    (r"\underbrace{12}", "12"),
    (r"\vphantom{x}12", "12"),
    ("no real solutions", r"\emptyset"),
    ("DNE", "does not exist"),
    (r"\text{all integers}", r"\mathbb{Z}"),
    ("Ann and Tom", "Tom and Ann"),
    ("Ann, Tom and Eve", "Eve, Ann, Tom"),
    ("Mr. Smith", "Mr Smith"),
    ("J.K. Rowling", "J. K. Rowling"),
    ("two or three", "3, 2"),
    ("minus five", "-5"),
    ("CH_3COOH", "CH3COOH"),
    ("F_2F_3", "F_3F_2"),
    ("3.5 north", "7/2 north"),
    ("STRASSE", "Straße"),
    ("Да", "да"),
    ("]2,3]", "(2,3]"),
    (r"]-\infty,2[\cup]3,+\infty[", r"(-\infty,2)\cup(3,\infty)"),
    (r"\mathbb{R}\setminus\{2,3\}", r"(-\infty,2)\cup(2,3)\cup(3,\infty)"),
    (r"x\ne 2, 3", r"x\ne 3, x\ne 2"),
    (r"x\ne\pm 2", r"x\ne -2, 2"),
    ("x =/= 3", r"x \ne 3"),
    ("a>b", "b<a"),
    (r"x=1 \land y=2", "x=1, y=2"),
    (r"x=1 \lor x=2", "1, 2"),
    (r"\frac{\pi}{2}+k\pi, k\in\mathbb{Z}", r"\frac{\pi}{2}+n\pi, n \in \mathbb{Z}"),
    ("x ∈ {1,2}", r"\{1,2\}"),
    ("-inf", r"-\infty"),
    ("￥5", "5"),
    ("¬p", r"\neg p"),
    ("5 mİllion", "5 million"),
    (r"4\,\mathrm{N}\,\mathrm{m}", "4"),
    (r"30\,\text{km}\,\text{h}^{-1}", "30"),
    (r"6\text{ m squared}", "6"),
    ("9,50 €", "9.50"),
    ("1.209,50 EUR", "1209.5"),
    ("8 GB", "8"),
    ("35 per cent", "35"),
    ("8 (kg)", "8"),
    ("8 (in kg)", "8"),
    ("3 & 8", "3, 8"),
    ("2^{11} = 2,048", "2048"),
    ("m = 4,096 = 2^{12}", "4096"),
    ("x = 7, y = 4,321", "x=7, y=4321"),
    ("3Pi", r"3\pi"),
    ("log₅125", "3"),
    ("n ∈ ℤ", r"n\in\mathbb Z"),
    ("e\u0301te\u0301", "été"),
    ("p+q = s", "s = p+q"),
    ("3ab = u", "u = 3ab"),
    (r"\frac{h}{2} = k", r"\frac{h}{2}"),
    ("F_n = 3F", "3F"),
    ("s = s_0 + vt", "s_0 + vt"),
    ("p : q = 5 : 4", "5:4"),
    ("Tina has 14 marbles", "14"),
    (r"\text{Tina has } 14 \text{ marbles}", "14"),
    (r"\text{He paid } \$14", "14"),
    ("It takes 14 minutes", "14"),
    ("So each box holds 14", "14"),
    ("1.41 (2 d.p.)", "1.41"),
    (r"1.41 \text{ (rounded to 2 decimal places)}", "1.41"),
    ("1.41, correct to three significant figures", "1.41"),
    ("**Answer:** 14", "14"),
    ("Ans: 14", "14"),
    ("Antwort: 14", "14"),
    ("Ответ: 14", "14"),
    ("답: 14", "14"),
    ("Therefore, the answer is 14.", "14"),
    ("y is 14", "14"),
    ("y equals 14", "14"),
    ("D)", "D"),
    ("[D]", "D"),
    ("14 = 20 - 6", "14"),
    (r"\int_0^2 x\,dx = 2", "2"),
    (r"\sum_{k=1}^{n} 1 = 14", "14"),
    (r"\left(\begin{array}{cc}1&2\\3&4\end{array}\right)", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\left[\begin{matrix}1\\2\end{matrix}\right]", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\mathord{14}", "14"),
    (r"\sf 14", "14"),
    (r"\fcolorbox{red}{white}{14}", "14"),
    (r"\raisebox{2pt}{14}", "14"),
    (r"14\mkern3mu", "14"),
    (r"\Longrightarrow 14", "14"),
    (r"\stackrel{!}{=} 14", "14"),
    ("the Black Sea", "Black Sea"),
    ("U.K.", "UK"),
    ("M.Sc.", "MSc"),
    ("J.R.R. Tolkien", "J. R. R. Tolkien"),
    (r"(-1,4)\cup[4,6)", "(-1,6)"),
    (r"x = 2 \text{ or } x \ge 5", r"\{2\}\cup[5,\infty)"),
    (r"(-\infty,0]\cup(0,\infty)", r"\mathbb{R}"),
    ("a &lt; 3", "a < 3"),
    ("average speed = 27 m/s", "27"),
    ("Total cost: $27", "27"),
    (r"8\,\mathrm{J}\,\mathrm{kg}^{-1}\,\mathrm{K}^{-1}", "8"),
    ("Answer - 27", "27"),
    ("My answer: 27", "27"),
    ("答えは27です", "27"),
    ("정답은 27입니다", "27"),
    ("Die Antwort ist 27", "27"),
    ("La respuesta es 27", "27"),
    ("A resposta é 27", "27"),
    ("2.7 (to the nearest tenth)", "2.7"),
    ("y = 27 only", "27"),
    ("Option B: 27", "B"),
    ("[PQR] = 27", "27"),
    ("E[T] = 2.7", "2.7"),
    (r"\mathbb{E}[T] = 2.7", "2.7"),
    (r"\begin{split}y&=27\end{split}", "27"),
    (r"\begin{gather*}27\end{gather*}", "27"),
    (r"\mathstrut 27", "27"),
    ("• 27", "27"),
    ("<code>27</code>", "27"),
    (r"\lVert u\rVert", r"\|u\|"),
    ("equal-sided", "equal sided"),
    (r"x \in \emptyset", r"\emptyset"),
    # Arguments of one token need no braces.
    (r"\frac pq", r"\frac{p}{q}"),
    (r"\frac\pi 6", r"\frac{\pi}{6}"),
    (r"\frac{\sqrt5}2", r"\frac{\sqrt{5}}{2}"),
    (r"\binom n3", r"\binom{n}{3}"),
    (r"t\sqrt[3]t", r"t\sqrt[3]{t}"),
    (r"\frac{a}{b}{c}_{1}", r"\frac{a}{b}c_1"),
    ("7pct", "7%"),
    ("2 3/4 percent", r"2\frac34\%"),
    ("6 000 2/3", r"\frac{18002}{3}"),
    (r"\frac{8\text{ m}}{6\text{ m}}", r"\frac43"),
    (r"\frac{90 miles}{2 hours}", "45"),
    ("6 + -5i", "6-5i"),
    ("Theta(n)", r"\Theta(n)"),
    ("g(1) < g(3) < g(2)", "g(2) > g(3) > g(1)"),
    (r"p \ge 2q \ge r", r"r \le 2q \le p"),
    (r"{4,5}\cup{5,6}", r"\{4,5,6\}"),
    (r"\{a\}\cup\{b,c\}", r"\{a,b,c\}"),
    ("all real numbers except 4 and 6", r"x\ne4, 6"),
    (r"x\notin\{4,6\}", r"x\ne4, 6"),
    (r"x>2, x\ne5", r"(2,5)\cup(5,\infty)"),
    (r"x\ge2 \text{ and } x\ne2", "x>2"),
    (r"x>2, x\ne1", "x>2"),
    (r"-3\le x\le3, x\ne0", r"[-3,0)\cup(0,3]"),
    (r"(2,9)\setminus\{3,4\}", r"(2,3)\cup(3,4)\cup(4,9)"),
    (r"[2,9]\setminus(3,4)", r"[2,3]\cup[4,9]"),
    (r"\mathbb{R}\setminus[2,9]", r"x<2 \text{ or } x>9"),
    (r"\{2,3,4\}\setminus\{3\}", r"\{2,4\}"),
    (r"x>a, x\ne b", r"x\ne b, x>a"),
    (r"\frac{3}{5} \text{ or } 0.6", "0.6"),
    ("3 1/2 loaves", "3.5"),
    (r"3\frac12 loaves", "3.5"),
    (r"\text{Total } 35", "35"),
    ("maximum value 35", "35"),
    (r"\text{all reals except } -4", r"\mathbb{R}\setminus\{-4\}"),
    # A formula of real numbers has no value where another one has none.
    (r"\sqrt{1/t}", r"\frac{1}{\sqrt{t}}"),
    (r"\frac{\sqrt t}{t}", "t^{-1/2}"),
    (r"(u-v)^2 = u^2-2uv+v^2", r"u^2-2uv+v^2 = (v-u)^2"),
    (r"\log_3{9} / (t+2)", r"\frac{2}{t+2}"),
    (r"3t+c \text{ for any real } c", "3t+c"),
    (r"h(t) = ct \text{ for some } c>0", r"ct \text{ for some } c>0"),
    (r"qt, \text{ where } q=2", "$qt$, where $q=2$"),
    (r"\text{Tina walked } 27 \text{ km}", "27"),
    ("The bus arrived after 27 minutes", "27"),
    ("27 is the final answer", "27"),
]

DIFFERENT = [
    ("twenty-fifth", r"\frac{20}{5}"),
    ("third", r"\frac13"),
    ("五分之二", "二分之五"),
    ("有7个", "有8个"),
    ("2 a/(b c)", "2"),
    (r"\text{K}_2\text{SO}_3", r"\text{K}_2\text{SO}_4"),
    ("6 at t=3", "3"),
    ("6 at t=3", "5 at t=3"),
    ("maximum 6 at t=3", "3"),
    ("2 coins if n=4", "4"),
    (r"\mathbb{R}^+", r"\mathbb{R}"),
    (r"(\pm 7, 0)", "(7,0)"),
    (r"(\pm 7, 0)", r"(0, \pm 7)"),
    (r"\langle 5,6,7,8 \rangle", r"\langle 5,7,6,8 \rangle"),
    # Conditions of several unknowns: which of them is bounded by what.
    ("x>1, y>2", "y>1, x>2"),
    ("x>1 or y>2", "y>1 or x>2"),
    ("x=1, y>2", "y=1, x>2"),
    ("x>1 and y=2", "y>1 and x=2"),
    ("x>a, y>b", "y>a, x>b"),
    (r"x\in(0,1), y>2", r"y\in(0,1), x>2"),
    ("|x|<3, y>1", "|y|<3, x>1"),
    ("x>1, y=2, z<3", "z>1, y=2, x<3"),
    (r"\text{(A) or (B)}", "A"),
    (r"(\text{A})\ \text{or}\ (\text{B})", "A"),
    (r"\langle u, v \rangle = 0", "0"),
    (r"\lim_{n\to\infty} a_n", r"\lim_{n\to0} a_n"),
    (r"\sum_{k=1}^3 a_k", "3a_k"),
    ("2x>6, y>5", "2y>6, x>5"),
    ("p<q", "p<r"),
    ("p<q<r", "p<s<r"),
    ("p<q, q<r", "p<r, q<s"),
    ("x<y", "x<z"),
    ("(x,y)=(5,6)", "(y,x)=(5,6)"),
    ("1.2.3.4", "1.3.2.4"),
    ("10.0.0.1", "10.0.1.0"),
    (r"n>5, n \text{ even}", r"n>5, n \text{ odd}"),
    (r"\lim_{t\to0} f(t)", r"\lim_{t\to1} f(t)"),
    (r"\int_0^1 f(t) dt", "f(t)"),
    ("7h", "7"),
    ("2r", "2"),
    ("x+5h", "x+5"),
    ("5a+3g", "5a+3"),
    (r"\frac{3}{4}h", r"\frac{3}{4}"),
    (r"\pi r", r"\pi"),
    (r"2\pi g", r"2\pi"),
    ("k=2m", "k=2"),
    (r"5\mathrm{d}", "5"),
    (r"5\mathbf{u}", "5"),
    (r"\text{NaCl}", r"\text{KCl}"),
    (r"2\text{H}_2", r"2\text{O}_2"),
    ("1 billion", "1 million"),
    ("8 AM", "8 PM"),
    ("8 a.m.", "8 p.m."),
    ("25 cents", "25 dollars"),
    (r"90^\circ", r"90\text{ rad}"),
    (r"5\text{ up}", r"5\text{ down}"),
    ("5 left", "5 right"),
    ("100 BCE", "100 CE"),
    ("2 older", "2 younger"),
    ("3-1", "1-3"),
    ("3-1", "2"),
    ("10-20", "20-30"),
    ("2023-12-25", "2023-25-12"),
    ("12/25/2023", "25/12/2023"),
    ("X-Y-Z", "Z-Y-X"),
    ("3F", "F3"),
    ("B2", "2B"),
    ("NaCl", "ClNa"),
    ("CH4", "C4H"),
    ("b2c", "c2b"),
    ("ON", "NO"),
    ("is", "si"),
    ("at", "ta"),
    ("X Y Z", "Z Y X"),
    ("4 5 6", "120"),
    ("2 345", "347"),
    ("3 hours 30 minutes", "30 hours 3 minutes"),
    ("6 ft 2 in", "2 ft 6 in"),
    ("2 pounds 3 ounces", "3 pounds 2 ounces"),
    ("3 cats and 4 dogs", "4 cats and 3 dogs"),
    ("Tom 5, Ann 6", "Tom 6, Ann 5"),
    ("f'", "f"),
    ("f'(x)", "f(x)"),
    ("f''(x)", "f'(x)"),
    ("B^T", "B"),
    ("A^{-1}", "A"),
    (r"\overline{A}", "A"),
    (r"\hat{x}", "x"),
    (r"\vec{v}", "v"),
    ("9:15", "3:05"),
    ("4:2", "2:1"),
    ("a:b", "b:a"),
    ("A+", "A-"),
    ("F#", "F"),
    ("Na^+", "Na^-"),
    (r"\lfloor x\rfloor", "x"),
    (r"\lceil x\rceil", r"\lfloor x\rfloor"),
    (r"\ge 5", r"\le 5"),
    (r"x\ge5", r"x\le5"),
    (r"5 \pmod 8", r"5 \pmod 9"),
    ("O(n^2)", "O(n)"),
    (r"\frac{1}{3^{80}}", r"\frac{1}{3^{81}}"),
    (r"\frac{1}{500!}", r"\frac{1}{501!}"),
    (r"9.11\times10^{-31}", r"1.67\times10^{-27}"),
    ("10^{-50}", "0"),
    ("e^{-100}", "0"),
    ("e^{-100}", "e^{-101}"),
    ("10^{30}", "10^{30}+1"),
    ("3^{200}", "3^{200}+1"),
    ("25!", "25!+1"),
    ("1011_2", "1011_3"),
    ("1011_2", "1011"),
    ("A3_{16}", "3A_{16}"),
    ("2,2,3", "2,3,3"),
    ("2,2,3", "2,3"),
    (r"\{3,4\}", "(3,4)"),
    ("[3,4]", "(3,4)"),
    ("[5]", "5"),
    ("[5]", "【5】"),
    (r"\left[ 5 \right]", "5"),
    ("5【1】", "51"),
    ("5【1】", "5"),
    ("(3,4)", "3,4"),
    ("x=1,y=2", "x=2,y=1"),
    ("0,250", "250"),
    ("0.12", r"0.\overline{12}"),
    ("√20", "0"),
    ("x=2y+1", "y=2x+1"),
    ("x+y=2", "x+y=3"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    ("Monday", "Tuesday"),
    (r"\triangle ABC", r"\triangle ACB"),
    (r"\frac{a}{b}", r"\frac{b}{a}"),
    (r"\infty", r"-\infty"),
    (r"100\%", "1"),
    (r"50\%", "0.5"),
    (r"\ln 2", r"\log 2"),
    ("n!", "n"),
    ("f(2)", "f(3)"),
    (r"\frac{dy}{dx}", r"\frac{dx}{dy}"),
    ("5+2i", "5-2i"),
    ("3i", "3j"),
    ("e", "2.718281828"),
    (r"\pi", "3.14"),
    (r"\frac{22}{7}", r"\pi"),
    ("x^2+1=0", "x^2+1"),
    ("10 or more", "10"),
    ("at least 10", "10"),
    ("2 to 5", "2"),
    ("between 2 and 5", "2,5"),
    ("1/3", "0.333"),
    ("-5", "5"),
    ("2:3:4", "2:3:5"),
    ("(0,1]", "[0,1)"),
    ("A", "B"),
    ("T", "F"),
    (r"\{1,2\},\{3,4\}", r"\{1,3\},\{2,4\}"),
    (r"\{1\},\{2\}", r"\{1,2\}"),
    (r"\text{length}=3, \text{width}=4", r"\text{length}=4, \text{width}=3"),
    ("AB=3, BC=4", "AB=4, BC=3"),
    ("f(1)=2, f(2)=3", "f(1)=3, f(2)=2"),
    ("7万", "7億"),
    ("5 hundredths", "5"),
    (r"\sin x^\circ", r"\sin x"),
    (r"\sin(x+30^\circ)", r"\sin(x+30)"),
    ("2ˣ", "2x"),
    ("30'", "30"),
    (r"\vec a\times\vec b", r"\vec a\cdot\vec b"),
    ("4h5m", "5h4m"),
    ("1.01_2", "1.01_3"),
    ("-101_2", "-101_3"),
    (r"1011\text{ (base 2)}", r"1011\text{ (base 3)}"),
    ("0xFF", "0xFE"),
    (r"p \land q", r"p \lor q"),
    (r"x\in A", "A"),
    ("x=2y+1", "2y+1"),
    (r"\mathbf{v}\cdot\mathbf{w}", r"\frac{v}{w}"),
    (r"\mathbf{v}\times\mathbf{w}", r"\mathbf{w}\times\mathbf{v}"),
    (r"\mathrm{C_6H_{12}O_6}", "C_{12}H_6O_6"),
    ("7 тыс", "7"),
    ("7 mehr", "7 weniger"),
    ("7个半", "7"),
    ("3点半", "3"),
    ("8折", "8"),
    ("twenty-one", "20, 1"),
    ("seven", "8"),
    ("二十", "12"),
    (r"17 \pmod 5", r"2 \pmod 6"),
    (r"3 \pmod 7", r"3+d,3-d"),
    ("2a_{12}", "2A_{12}"),
    ("0x1F", "1F"),
    (r"\{1,000, 2,000\}", r"\{0,1,2\}"),
    ("√1,024", "1,24"),
    (r"\sqrt{3}/2 i", r"\frac{\sqrt{3}}{2i}"),
    ("2(3)", "5"),
    ("(2)(3)", "5"),
    ("5!!", "(5!)!"),
    ("I_1", "I_2"),
    ("I^2R", "-R"),
    ("I", "i"),
    ("f^{(3)}(x)", "f^3(x)"),
    ("x =/= 3", "3"),
    (r"x=1 \land y=2", "2"),
    (r"\{\emptyset\}", r"\emptyset"),
    ("a>b", "a<b"),
    (r"A^{-1}B", "BA^{-1}"),
    (r"A^TB", "B^TA"),
    ("There are at least 12 ways", "12"),
    ("The answer is between 3 and 4", "4"),
    ("Ann and Tom", "Ann"),
    ("J. K. Rowling", "J"),
    ("It fell because of gravity", "It fell because of wind"),
    ("Champions since 1990", "Champions since 1980"),
    ("3.5 north", "35 north"),
    (r"\mathbb{R}\setminus\{2,3\}", r"\mathbb{R}\setminus\{2\}"),
    (r"\frac{\pi}{2}+k\pi, k\in\mathbb{Z}", r"\frac{\pi}{2}+2k\pi, k \in \mathbb{Z}"),
    (r"12\qquad\text{(3)}", "15"),
    ("12 noon", "12 midnight"),
    ("not prime: 27", "27"),
    ("pq = 27", "27"),
    ("Tina: 4, Max: 7", "Tina: 7, Max: 4"),
    ("height = 3, width = 4", "height = 4, width = 3"),
    ("A: 5", "B: 5"),
    ("Option A: 5, Option B: 6", "A"),
    ("A) 5 B) 6", "A"),
    ("4 wins", "4 losses"),
    (r"\$60 debit", r"\$60 credit"),
    ("6 squared", "6"),
    (r"2\text{R}\text{S}", "2"),
    ("8 (k)", "8"),
    ("9,50", "9.50"),
    ("a_n = a_{n-1} + 3", "a_{n-1} + 3"),
    ("a_n = a_m + 3", "a_m + 3"),
    ("x+y = c", "x+y"),
    ("Tina has 3, Max has 4", "Tina has 4, Max has 3"),
    ("Tina has at least 14", "14"),
    (r"\text{not } y=14", "y=14"),
    ("tea and milk", "tea or milk"),
    (
        r"\left(\begin{array}{c|c}1&2\\3&4\end{array}\right)",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    ),
    ("2**3**2", "232"),
    (r"(-1,4)\cup(4,6)", "(-1,6)"),
    (r"\frac pq", r"\frac qp"),
    (r"t\sqrt[3]tu", r"t\sqrt[3]{tu}"),
    ("6 5/3", r"\frac{23}{3}"),
    ("6 000 2/3", "6000"),
    (r"\frac{3m}{4}", r"\frac{3}{4}"),
    ("6 + -5i", "6+5i"),
    ("Theta(n)", "Omega(n)"),
    ("g(1) < g(3) < g(2)", "g(1) < g(2) < g(3)"),
    (r"p \ge 2q \ge r", r"p \ge 2q > r"),
    (r"{4,5}\cup{6}", r"\{4,6\}"),
    ("all real numbers except 4", "all real numbers except 6"),
    (r"x>2, x\ne5", "x>2"),
    (r"x>2, x\ne5", r"x>2, x\ne6"),
    (r"x>a, x\ne b", "x>a"),
    (r"[2,9]\setminus(3,4)", r"[2,9]\setminus[3,4]"),
    (r"A\setminus B", r"B\setminus A"),
    (r"\frac{3}{5} \text{ or } 0.8", "0.6"),
    ("minimum 35", "35"),
    ("all integers except 4", "all real numbers except 4"),
    (r"\sqrt{-t}", r"\sqrt{-2t}"),
    (r"\sqrt{-1-t^2}", r"\sqrt{-2-t^2}"),
    (r"\ln|t|", r"\ln t"),
    (r"i\sqrt{t}", r"-i\sqrt{t}"),
    (r"(u-v)^2 = u^2-2uv+v^2", r"\cos^2 u + \sin^2 u = 1"),
    (r"\log_3{9} / (t+2)", r"\log_3(9/(t+2))"),
    ("t^2 for t>0", "t^2 for t<0"),
    ("qt, where q=2", "qt, where q=3"),
    ("The price decreased 27", "27"),
    ("Louis 14", "14"),
]


async def with_equivalence(use: Callable[[Equivalence], Awaitable[None]]) -> None:
    async with WorkerPool(2) as pool:
        assert await pool.warm_up()
        await use(Equivalence(pool, timeout_s=PATIENT_S))


async def wrong_of(by: Equivalence, pairs: list[tuple[str, str]], same: bool) -> list[str]:
    return [f"{a} and {b}" for a, b in pairs if await by.same(a, b) is not same]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_spellings_of_one_answer_are_one_vote_and_others_are_not() -> None:
    async def check(by: Equivalence) -> None:
        assert await wrong_of(by, SAME, True) == []
        assert await wrong_of(by, DIFFERENT, False) == []
        assert await wrong_of(by, [(b, a) for a, b in SAME], True) == []

    await with_equivalence(check)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_sameness_is_a_relation_and_the_classes_of_a_race_depend_on_no_order() -> None:
    answers = list(dict.fromkeys(answer for pair in SAME + DIFFERENT for answer in pair))

    async def check(by: Equivalence) -> None:
        classes: dict[str, set[str]] = {}
        for answer in answers:
            classes.setdefault(await by.key(answer), set()).add(answer)
        # Transitive and symmetric: each is the same as all of its class, and as no other.
        for answer in random.Random(0).sample(answers, 60):
            own = {other for other in answers if await by.same(other, answer)}
            assert own == classes[await by.key(answer)], answer
        for seed in range(10):
            clusters, members = AnswerClusters(by), dict[str, set[str]]()
            for answer in random.Random(seed).sample(answers, len(answers)):
                members.setdefault(await clusters.assign(answer), set()).add(answer)
            assert set(map(frozenset, members.values())) == set(map(frozenset, classes.values()))

    await with_equivalence(check)


def documented() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs of the documentation's table that are the same, and those that are not."""
    same: list[tuple[str, str]] = []
    different: list[tuple[str, str]] = []
    table = DOCUMENTATION.read_text().partition("| the same |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        cells = row.replace("\\|", "\0").split("|")[1:5]
        for cell, pairs in ((cells[0], same), (cells[2], different)):
            for group in re.split(r";(?=(?:[^`]*`[^`]*`)*[^`]*$)", cell):
                pairs += combinations(re.findall(r"`([^`]+)`", group), 2)
    return same, different


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_documentation_says_what_is_true() -> None:
    same, different = documented()
    assert len(same) > 40
    assert len(different) > 30

    async def check(by: Equivalence) -> None:
        assert await wrong_of(by, same, True) == []
        assert await wrong_of(by, different, False) == []

    await with_equivalence(check)


# ── families that are generated: one value, many spellings ────────────────────────────────────

INTEGERS = st.integers(-999, 999)


@st.composite
def numbers(draw: st.DrawFn) -> list[str]:
    """Spellings of one fraction, with what may stand around it."""
    top, bottom = draw(INTEGERS), draw(st.integers(1, 99))
    by = draw(st.integers(2, 9))
    bare = [
        f"{top}/{bottom}",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"\dfrac{{{top * by}}}{{{bottom * by}}}",
        rf"\tfrac{{{-top}}}{{{-bottom}}}",
    ]
    return [
        *bare,
        *(f"${spelling}$" for spelling in bare),
        *(f"x = {spelling}" for spelling in bare),
        *(rf"\boxed{{{spelling}}}" for spelling in bare),
        *(rf"{spelling}\text{{ cm}}" for spelling in bare),
        *(f"**{spelling}**" for spelling in bare),
        *(f"{spelling}." for spelling in bare),
    ]


@st.composite
def lists(draw: st.DrawFn) -> list[str]:
    """Spellings of one list whose order does not count."""
    items = [str(i) for i in draw(st.lists(st.integers(-99, 99), min_size=2, max_size=5))]
    shuffled = draw(st.permutations(items))
    spellings = [
        ", ".join(items),
        ",".join(shuffled),
        "; ".join(shuffled),
        f"${', '.join(shuffled)}$",
    ]
    if len(items) == 2:
        spellings += [f"{items[1]} and {items[0]}", rf"{items[0]} \text{{ or }} {items[1]}"]
    return spellings


@st.composite
def points(draw: st.DrawFn) -> list[str]:
    x, y = draw(INTEGERS), draw(INTEGERS)
    return [f"({x},{y})", f"({x}, {y})", rf"\left({x},\,{y}\right)", rf"$({x}.0, {2 * y}/2)$"]


@st.composite
def ranges(draw: st.DrawFn) -> list[str]:
    low = draw(INTEGERS)
    high = low + draw(st.integers(1, 99))
    return [
        f"({low},{high}]",
        rf"{low} < x \le {high}",
        rf"{high} \ge x > {low}",
        rf"x > {low} \text{{ and }} x \leq {high}",
        rf"x \in ({low}, {high}]",
    ]


@st.composite
def ranges_in_pieces(draw: st.DrawFn) -> list[str]:
    """A range in one piece and in several, in any order, which meet or overlap."""
    cuts = sorted(draw(st.sets(st.integers(-99, 99), min_size=2, max_size=5)))
    pieces = [f"({low},{high}]" for low, high in pairwise(cuts)]
    points = [rf"\{{{cut}\}}" for cut in cuts[1:]]
    opened = [f"({low},{high})" for low, high in pairwise(cuts)]
    whole = f"({cuts[0]},{cuts[-1]}]"
    return [
        whole,
        r" \cup ".join(draw(st.permutations(pieces))),
        r"\cup".join(draw(st.permutations(opened + points))),
        r"\cup".join([*pieces, whole]),
    ]


@st.composite
def residues(draw: st.DrawFn) -> list[str]:
    value, modulus = draw(INTEGERS), draw(st.integers(2, 99))
    members = [
        value + times * modulus for times in draw(st.lists(INTEGERS, min_size=1, max_size=3))
    ]
    return [rf"{member} \pmod{{{modulus}}}" for member in members] + [rf"{value}\pmod {modulus}"]


@st.composite
def all_but(draw: st.DrawFn) -> list[str]:
    """All numbers without some."""
    left_out = draw(st.lists(st.integers(-99, 99), min_size=1, max_size=4, unique=True))
    ends = sorted(left_out)
    ranges = zip((r"-\infty", *ends), (*ends, r"\infty"), strict=True)
    return [
        rf"\mathbb{{R}}\setminus\{{{', '.join(map(str, left_out))}\}}",
        r"\cup".join(f"({low},{high})" for low, high in ranges),
        ", ".join(rf"x \ne {value}" for value in left_out),
        rf"x \neq {', '.join(map(str, left_out))}",
    ]


ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


@st.composite
def words_for_numbers(draw: st.DrawFn) -> list[str]:
    hundreds, tens, ones = (draw(st.integers(first, 9)) for first in (1, 2, 1))
    below = f"{TENS[tens - 2]}-{ONES[ones - 1]}"
    han = "一二三四五六七八九"
    return [
        str(100 * hundreds + 10 * tens + ones),
        f"{ONES[hundreds - 1]} hundred {below}",
        f"{ONES[hundreds - 1]} Hundred and {below.replace('-', ' ')}",
        f"{han[hundreds - 1]}百{han[tens - 1]}十{han[ones - 1]}",
    ]


@st.composite
def mixed_numbers(draw: st.DrawFn) -> list[str]:
    """A whole number with a proper fraction behind it."""
    whole, bottom = draw(st.integers(1, 9_999)), draw(st.integers(2, 99))
    top = draw(st.integers(1, bottom - 1))
    return [
        f"{whole * bottom + top}/{bottom}",
        f"{whole} {top}/{bottom}",
        f"{f'{whole:,}'.replace(',', ' ')} {top}/{bottom}",
        rf"{whole}\frac{{{top}}}{{{bottom}}}",
        f"+{whole} {top}/{bottom}",
        f"{whole} {top}/{bottom} percent",
    ]


FAMILIES = st.one_of(
    mixed_numbers(),
    numbers(),
    lists(),
    points(),
    ranges(),
    ranges_in_pieces(),
    residues(),
    all_but(),
    words_for_numbers(),
)


@given(st.lists(FAMILIES, min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=examples(60))
def test_a_family_is_one_class_whatever_comes_first(
    families: list[list[str]], shuffle: random.Random
) -> None:
    async def check() -> None:
        by = Equivalence(None)
        answers = [answer for family in families for answer in family]
        shuffle.shuffle(answers)
        clusters = AnswerClusters(by)
        placed = {answer: await clusters.assign(answer) for answer in answers}
        for family in families:
            assert len({placed[answer] for answer in family}) == 1
        keys = {await by.key(family[0]) for family in families}
        assert len(set(placed.values())) == len(keys)

    run_virtual(check)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_product_of_numbers_in_brackets_is_their_product() -> None:
    chance = random.Random(0)
    factors = [[chance.randint(-99, 99) for _ in range(2 + i % 3)] for i in range(20)]
    spelled = [
        *("".join(f"({factor})" for factor in row) for row in factors),
        *(f"{abs(row[0])}({row[1]})" for row in factors),
        *(rf"\frac{{{abs(row[0])}}}{{7}}({row[1]})" for row in factors),
    ]
    values = [
        *(str(prod(row)) for row in factors),
        *(str(abs(row[0]) * row[1]) for row in factors),
        *(f"{abs(row[0]) * row[1]}/7" for row in factors),
    ]

    async def check(by: Equivalence) -> None:
        assert await wrong_of(by, list(zip(spelled, values, strict=True)), True) == []

    await with_equivalence(check)
