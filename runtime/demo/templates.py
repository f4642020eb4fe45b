"""The wording of the demo's word problems and of their solutions.

Data only. Placeholders: ``{name}``, ``{Pron}``/``{pron}``, ``{item}``; ``{n}`` is the amount of a
step, ``{k}`` groups of ``{m}`` for the two grouped operations; in solutions ``{a}`` is the quantity
before the step, ``{b}`` after it, and ``{p}`` = k * m.
"""

from typing import Final

NAMES: Final = (
    ("Mia", "she"), ("Noah", "he"), ("Ava", "she"), ("Liam", "he"), ("Zoe", "she"),
    ("Omar", "he"), ("Ruth", "she"), ("Ivan", "he"), ("Lena", "she"), ("Hugo", "he"),
    ("Nina", "she"), ("Paul", "he"), ("Sara", "she"), ("Tom", "he"), ("Wendy", "she"),
    ("Yusuf", "he"), ("Clara", "she"), ("Felix", "he"), ("Greta", "she"), ("Jonas", "he"),
)  # fmt: skip

ITEMS: Final = (
    "apples", "marbles", "stamps", "coins", "books", "pencils", "shells", "cards", "beads",
    "stickers", "buttons", "candles", "cookies", "flowers", "tickets", "stones", "ribbons",
    "lemons", "plates", "bottles",
)  # fmt: skip

OPENINGS: Final = (
    "{name} starts with {n} {item}.",
    "{name} has {n} {item}.",
    "In the morning, {name} counts {n} {item}.",
    "{name} owns a collection of {n} {item}.",
    "There are {n} {item} on the shelf of {name}.",
    "{name} keeps {n} {item} in a big chest.",
    "A small shop run by {name} opens with {n} {item}.",
    "{name} has saved up {n} {item} over the years.",
    "At first, {name} holds {n} {item}.",
    "On Monday, {name} has {n} {item} at home.",
    "{name} brings {n} {item} to the market.",
    "The store room of {name} holds {n} {item}.",
)

ENDINGS: Final = (
    "How many {item} does {name} have now?",
    "How many {item} are there in the end?",
    "How many {item} does {name} have at the end?",
    "What is the final number of {item}?",
    "How many {item} are left with {name}?",
    "Find the number of {item} that {name} has now.",
    "How many {item} does {pron} end up with?",
    "At the end of the day, how many {item} does {name} have?",
)

# Question wording: one sentence a step.
QUESTION: Final[dict[str, tuple[str, ...]]] = {
    "add": (
        "{name} buys {n} more {item}.",
        "A friend gives {name} {n} {item}.",
        "Then {n} more {item} arrive in the mail.",
        "{name} finds {n} {item} in the attic.",
        "A neighbour drops off {n} {item}.",
        "{Pron} wins {n} {item} at the fair.",
        "{name} picks up {n} extra {item} at the market.",
        "A delivery brings {n} new {item}.",
        "{Pron} receives {n} {item} as a gift.",
        "{name} adds {n} {item} from an old box.",
        "{Pron} trades a painting for {n} {item}.",
        "Later, {n} borrowed {item} are returned to {name}.",
        "An aunt sends {name} {n} {item}.",
    ),
    "subtract": (
        "{name} gives away {n} {item}.",
        "{Pron} sells {n} {item}.",
        "On the way, {n} {item} get lost.",
        "{name} lends {n} {item} to a cousin.",
        "Sadly, {n} of the {item} are broken and thrown out.",
        "{Pron} donates {n} {item} to the school.",
        "A customer takes {n} {item}.",
        "{name} uses up {n} {item} for a project.",
        "{Pron} leaves {n} {item} at the office.",
        "A brother borrows {n} {item} from {name}.",
        "{name} pays a debt with {n} {item}.",
        "During the night, {n} {item} disappear.",
        "{Pron} hands {n} {item} to a stranger.",
    ),
    "multiply": (
        "A lucky trade makes the collection {n} times as large.",
        "After a good deal, {name} has {n} times as many {item}.",
        "For each of the {item}, {pron} now gets {n} in return.",
        "A machine turns every one of the {item} into {n}.",
        "The number of {item} grows to {n} times what it was.",
        "{name} exchanges each of the {item} for {n} smaller ones.",
        "A sponsor raises the stock to {n} times its size.",
        "Each of the {item} is cut into {n} pieces, and every piece counts.",
        "A magic box leaves {name} with {n} times as many {item}.",
        "{Pron} works hard until there are {n} times as many {item}.",
        "Over the summer the stock becomes {n} times as big.",
        "The club agrees to give {n} {item} for each one {name} has.",
    ),
    "divide": (
        "{name} splits the {item} into {n} equal piles and keeps one pile.",
        "{Pron} shares the {item} equally among {n} people and keeps one share.",
        "The {item} are packed into {n} equal crates, and only one crate stays.",
        "A storm leaves just one in {n} of the {item}.",
        "{name} keeps only one of every {n} {item}.",
        "The {item} are divided evenly between {n} shops, one of which is run by {name}.",
        "{Pron} forms {n} equal teams of {item} and stays with one team.",
        "Only 1 out of every {n} {item} passes the inspection and stays.",
        "The {item} are bundled so that every {n} of them count as one.",
        "{name} trades every {n} {item} for one better one.",
        "A tax leaves {name} with one part in {n} of the {item}.",
        "{Pron} divides the {item} by {n} and holds on to one part.",
    ),
    "pack_in": (
        "{name} buys {k} boxes with {m} {item} in each.",
        "Then {k} friends bring {m} {item} each.",
        "{Pron} opens {k} bags of {m} {item} and adds them all.",
        "For {k} days, {pron} collects {m} {item} a day.",
        "A truck delivers {k} crates, each holding {m} {item}.",
        "{name} fills {k} new shelves with {m} more {item} on each.",
        "{k} cousins each send {m} {item}.",
        "{Pron} orders {k} packs of {m} {item}.",
        "In each of {k} games, {pron} wins {m} {item}.",
        "{name} makes {m} {item} an hour for {k} hours.",
        "From each of {k} stalls, {name} gets {m} {item}.",
        "{k} jars with {m} {item} each are added to the collection.",
    ),
    "pack_out": (
        "{name} fills {k} bags with {m} {item} each and gives the bags away.",
        "{Pron} hands {m} {item} to each of {k} children.",
        "Then {k} customers buy {m} {item} each.",
        "For {k} days, {pron} uses {m} {item} a day.",
        "{name} ships {k} parcels with {m} {item} in each.",
        "{k} friends take {m} {item} each.",
        "{Pron} loses {m} {item} in each of {k} games.",
        "{name} sells {k} packs of {m} {item}.",
        "At each of {k} stops, {name} leaves {m} {item}.",
        "{Pron} decorates {k} tables with {m} {item} each.",
        "{name} sends {m} {item} to each of {k} schools.",
        "{k} boxes of {m} {item} are carried out of the house.",
    ),
}

# Solution wording. A "plain" sentence names the step and computes; a "full" one restates the
# quantities before and after, which is the predictable prose that speculation lives on.
PLAIN_OPENINGS: Final = (
    "At the start there are {a} {item}.",
    "{name} begins with {a} {item}.",
    "The first number is {a} {item}.",
)
PLAIN: Final[dict[str, tuple[str, ...]]] = {
    "add": (
        "Then {n} {item} are added, so there are {a} + {n} = {b} {item}.",
        "After {n} more {item} we have {a} + {n} = {b}.",
        "Adding {n} gives {a} + {n} = {b} {item}.",
    ),
    "subtract": (
        "Then {n} {item} are gone, so there are {a} - {n} = {b} {item}.",
        "After losing {n} {item} we have {a} - {n} = {b}.",
        "Taking away {n} gives {a} - {n} = {b} {item}.",
    ),
    "multiply": (
        "Then the number is multiplied by {n}, so there are {a} * {n} = {b} {item}.",
        "With {n} times as many we have {a} * {n} = {b}.",
        "Multiplying by {n} gives {a} * {n} = {b} {item}.",
    ),
    "divide": (
        "Then the number is divided by {n}, so there are {a} / {n} = {b} {item}.",
        "With one part in {n} left we have {a} / {n} = {b}.",
        "Dividing by {n} gives {a} / {n} = {b} {item}.",
    ),
    "pack_in": (
        "Then {k} * {m} = {p} {item} are added, so there are {a} + {p} = {b} {item}.",
        "The new groups hold {k} * {m} = {p}, and we have {a} + {p} = {b}.",
        "Adding {k} * {m} = {p} gives {a} + {p} = {b} {item}.",
    ),
    "pack_out": (
        "Then {k} * {m} = {p} {item} are gone, so there are {a} - {p} = {b} {item}.",
        "The groups take {k} * {m} = {p}, and we have {a} - {p} = {b}.",
        "Taking away {k} * {m} = {p} gives {a} - {p} = {b} {item}.",
    ),
}
FULL_OPENINGS: Final = (
    "Let us go through the story of {name} step by step and keep track of the number of {item}. "
    "At the beginning, {name} has {a} {item}.",
    "We follow the number of {item} from the start to the end of the story. "
    "In the beginning the number of {item} is {a}.",
)
FULL: Final[dict[str, tuple[str, ...]]] = {
    "add": (
        "In the next step, {name} gets {n} more {item}. Before this step there are {a} {item}, "
        "and after it there are {a} + {n} = {b} {item}.",
        "Now {n} {item} come in addition. We had {a} {item}, and we add {n} {item} to them, which "
        "means that {a} + {n} = {b}.",
    ),
    "subtract": (
        "In the next step, {name} loses {n} {item}. Before this step there are {a} {item}, and "
        "after it there are {a} - {n} = {b} {item}.",
        "Now {n} {item} are taken away. We had {a} {item}, and we remove {n} {item} from them, "
        "which means that {a} - {n} = {b}.",
    ),
    "multiply": (
        "In the next step, the number of {item} becomes {n} times as large. Before this step "
        "there are {a} {item}, and after it there are {a} * {n} = {b} {item}.",
        "Now every one of the {item} turns into {n}. We had {a} {item}, and we multiply them by "
        "{n}, which means that {a} * {n} = {b}.",
    ),
    "divide": (
        "In the next step, only one part in {n} of the {item} stays. Before this step there are "
        "{a} {item}, and after it there are {a} / {n} = {b} {item}.",
        "Now the {item} are divided into {n} equal parts. We had {a} {item}, and we divide them "
        "by {n}, which means that {a} / {n} = {b}.",
    ),
    "pack_in": (
        "In the next step, {name} gets {k} groups of {m} {item}, together {k} * {m} = {p} {item}. "
        "Before this step there are {a} {item}, and after it there are {a} + {p} = {b} {item}.",
        "Now {k} groups of {m} {item} come in addition, which is {k} * {m} = {p} {item}. We had "
        "{a} {item}, and we add {p} {item} to them, which means that {a} + {p} = {b}.",
    ),
    "pack_out": (
        "In the next step, {name} loses {k} groups of {m} {item}, together {k} * {m} = {p} "
        "{item}. Before this step there are {a} {item}, and after it there are {a} - {p} = {b} "
        "{item}.",
        "Now {k} groups of {m} {item} are taken away, which is {k} * {m} = {p} {item}. We had "
        "{a} {item}, and we remove {p} {item} from them, which means that {a} - {p} = {b}.",
    ),
}
CHECK_OPENINGS: Final = (
    "Let us check this by going backwards from {b}.",
    "To be sure, we check the result {b} from the end to the start.",
)
CHECK: Final[dict[str, tuple[str, ...]]] = {
    "add": ("Undoing the addition gives {b} - {n} = {a}.",),
    "subtract": ("Undoing the subtraction gives {b} + {n} = {a}.",),
    "multiply": ("Undoing the multiplication gives {b} / {n} = {a}.",),
    "divide": ("Undoing the division gives {b} * {n} = {a}.",),
    "pack_in": ("Undoing the {k} groups of {m} gives {b} - {p} = {a}.",),
    "pack_out": ("Undoing the {k} groups of {m} gives {b} + {p} = {a}.",),
}
CHECK_FITS: Final = (
    "This is the number at the start, so the result is right.",
    "We are back at the first number, so everything fits.",
)
CHECK_FAILS: Final = (
    "This is not the number at the start, so there must be a slip.",
    "We are not back at the first number, so something is wrong.",
)

ANSWER: Final = "The answer is \\boxed{{{answer}}}."
# Never sampled by the model (its tokens carry no loss in training): only the runtime writes it,
# when time is up. The model is trained to give its best guess after it.
FORCING_SUFFIX: Final = "\nTime is up. The answer is \\boxed{"
