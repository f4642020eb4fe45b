"""The names of units, and the words beside numbers that change what they say."""

from collections.abc import Mapping
from typing import Final

#: Zeros that a word stands for.
ZEROS: Final[Mapping[str, int]] = {
    word: zeros
    for zeros, words in {
        2: "hundred hundreds hundert сто",
        3: "thousand thousands tausend mil mille mila тысяча тысячи тысяч тыс",
        5: "lakh lakhs",
        6: "million millions millionen mio millón millones milhão milhões milione milioni milion"
        " miliony milionów milyon juta miljoen миллион миллиона миллионов млн triệu",
        7: "crore crores",
        9: "billion billions milliarde milliarden mrd milliard milliards miliardo miliardi miliard"
        " miliardy miliardów milyar miljard миллиард миллиарда миллиардов млрд tỷ",
        12: "trillion trillions",
    }.items()
    for word in words.split()
}
#: The same in Chinese, Japanese and Korean, where they stand beside the digits.
ZEROS_BESIDE: Final[Mapping[str, int]] = {
    "十": 1, "百": 2, "千": 3, "万": 4, "萬": 4, "만": 4, "亿": 8, "億": 8, "억": 8,
    "兆": 12, "조": 12,
}  # fmt: skip
RADIANS: Final = frozenset(("rad", "rads", "radian", "radians"))

# A unit a line, by the spelling that stands for all others.
_UNITS: Final = """
m metre metres meter meters
cm centimetre centimetres centimeter centimeters
mm millimetre millimetres millimeter millimeters
km kilometre kilometres kilometer kilometers
nm nanometre nanometres nanometer nanometers
in inch inches
ft foot feet
yd yard yards yds
mi mile miles
ha hectare hectares
g gram grams gramme grammes gm gms
kg kilogram kilograms kilo kilos kgs
mg milligram milligrams
t tonne tonnes
lb lbs pound pounds
oz ounce ounces
L l litre litres liter liters
mL ml millilitre millilitres milliliter milliliters
cc
gal gallon gallons
qt quart quarts
pt pint pints
s sec secs second seconds
ms millisecond milliseconds
min mins minute minutes
h hr hrs hour hours
day days
week weeks
month months
year years yr yrs
mph
kph kmh
rpm
Hz hertz
kHz
MHz
GHz
J joule joules
kJ
W watt watts
kW
kWh
N newton newtons
Pa pascal pascals
kPa
V volt volts
mV
kV
A ampere amperes amp amps
mA
eV
keV
MeV
GeV
dB
dL cl dl cL hL hl
dm
kN MN mN
MW mW GW
MJ GJ mJ
kB KB
MB
GB
TB
kb Mb Gb
Bq
Gy
Sv
lx
lm
cd
mol mole moles
K kelvin
C celsius
F fahrenheit
deg degree degrees
percent
kr krone kroner kronor kronen
dollar dollars
euro euros
sq square
cu cubic
"""
#: Each name of a unit, and the spelling that stands for it.
SPELLINGS: Final = {
    name: names[0] for names in map(str.split, _UNITS.strip().splitlines()) for name in names
}

# All else that is written after a number names what is counted.
_COUNTING: Final = """
north south east west northeast northwest southeast southwest left right up down upward downward
upwards downwards forward forwards backward backwards inward outward above below more less fewer
greater smaller higher lower larger older younger taller shorter faster slower heavier lighter
bc ad bce ce am pm noon midnight win wins losses debit credit debt profit loss gain surplus
deficit increase decrease clockwise counterclockwise anticlockwise or and to not no only each
factorial squared cubed times minus plus over mod
tenth tenths hundredth hundredths thousandth
thousandths half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths
eighth eighths score gross percentile ago later earlier before after early late hot cold
positive negative if when for dozen base double
cent cents pence penny pennies
mehr weniger plus moins más mas menos mais meno più больше меньше более менее раза раз
nord süd sud ost est ouest oeste este norte sur sul leste ovest север юг восток запад
links rechts izquierda derecha esquerda direita gauche droite sinistra destra
millardi billones billionen bilhão bilhões bilhao billón billon milhares centenas
metade mitad moitié hälfte половина demi halb halbe media meio meia mezzo
prozentpunkte halbjahre назад тому vor nach antes depois después despues avant après apres
"""
#: Words that change what the number beside them says: `10 north`, `3 more`, `44 BC`.
COUNTING_WORDS: Final = frozenset(_COUNTING.split()) | RADIANS | ZEROS.keys()
