"""Names of people and organisations for `training.pii_values`: what Faker knows of many countries, in Latin
letters, and names made of syllables, so that no list of names can be learnt by heart.

Knows no slots, templates or types of personal data.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Faker is handed in: only `training.pii_values` needs it
    from faker import Faker

NAME_LOCALES = (
    "cs_CZ sk_SK pl_PL hu_HU da_DK no_NO sv_SE fi_FI nl_NL nl_BE hr_HR sl_SI ro_RO tr_TR el_GR ru_RU uk_UA"
    " bg_BG vi_VN en_IN ja_JP zh_CN yo_NG ig_NG ha_NG zu_ZA tw_GH is_IS lt_LT lv_LV et_EE id_ID en_KE ga_IE"
    " pt_PT pt_BR es_MX es_ES fr_FR it_IT de_DE de_AT uz_UZ en_PK"
).split()
FOREIGN_LETTERS = 0.15
"""Share of the people whose name is drawn until it has a letter that English has not."""

FOREIGN_TRIES = 6
LOWER_CASE = 0.07
"""Share of the people whose names are typed in small letters, middle initial and all."""

_ROMANISED = frozenset({"ja_JP", "zh_CN"})
_LATIN = dict(
    zip(
        "абвгдеёзийклмнопрстуфхыэіїєґ" + "αάβγδεέζηήιίκλμνοόπρσςτυύφωώ",
        "a b v g d e yo z i y k l m n o p r s t u f kh y e i yi ye g".split()
        + "a a v g d e e z i i i i k l m n o o p r s s t y y f o o".split(),
        strict=True,
    )
) | {
    **dict(zip("жцчшщъьюя", ["zh", "ts", "ch", "sh", "shch", "", "", "yu", "ya"], strict=True)),
    **dict(zip("θξχψϊϋΐ", ["th", "x", "ch", "ps", "i", "y", "i"], strict=True)),
}
"""Cyrillic and Greek small letters, as passports write them, roughly."""


def latin(name: str) -> str:
    """`name` with Cyrillic and Greek letters written in Latin ones; other letters stay."""
    return "".join(
        _LATIN.get(letter, letter)
        if letter == letter.lower()
        else _LATIN.get(letter.lower(), letter).capitalize()
        for letter in name
    )


def blend(chance: random.Random, parts: Sequence[Sequence[str]]) -> str:
    """One piece of each list, put together as one capitalised word."""
    word = "".join(chance.choice(pieces) for pieces in parts)
    return word[:1].upper() + word[1:].lower()


class Names:
    """Draws names with `chance` from `fakers` (those of `NAME_LOCALES` and en_US) and the word lists."""

    def __init__(
        self, chance: random.Random, fakers: Mapping[str, "Faker"], lists: Mapping[str, Sequence[str]]
    ) -> None:
        self._chance, self._fakers, self._lists = chance, fakers, lists
        self._families = sorted(name for name in lists if name.startswith("name_"))

    def person(self) -> tuple[str, str, str]:
        """First name, last name, full name in one of the ways people write it."""
        chance = self._chance
        locale = "en_US" if chance.random() < 0.25 else chance.choice(NAME_LOCALES)
        first, last = self._first(locale), self._last(locale)
        if chance.random() < FOREIGN_LETTERS:
            first, last = self._foreign()
        elif chance.random() < 0.25:
            last = self._invented()
        if chance.random() < 0.03:
            last = f"{last}-{self._last(locale)}"
        full = self._full(first, last, self._first(locale))
        if chance.random() < LOWER_CASE:
            return first.lower(), last.lower(), full.lower()
        return first, last, full

    def _foreign(self) -> tuple[str, str]:
        """First and last name of one country, as a rule with a letter that English has not."""
        names = ("", "")
        for _ in range(FOREIGN_TRIES):
            locale = self._chance.choice(NAME_LOCALES)
            names = self._first(locale), self._last(locale)
            if not "".join(names).isascii():
                break
        return names

    def _full(self, first: str, last: str, middle: str) -> str:
        draw = self._chance.random()
        if draw < 0.66:
            return f"{first} {last}"
        if draw < 0.83:
            return f"{first} {middle[0]}{self._chance.choice(['.', '.', ''])} {last}"
        if draw < 0.88:
            return f"{first} {middle} {last}"
        if draw < 0.91:
            return f"{first[0]}. {last}"
        if draw < 0.93:
            return f"{first} {last} {self._pick('middle_suffixes')}"
        return first if draw < 0.97 else last

    def _first(self, locale: str) -> str:
        faker = self._fakers[locale]
        if locale in _ROMANISED:
            return str(faker.first_romanized_name())
        name = faker.first_name_female() if self._chance.random() < 0.5 else faker.first_name_male()
        return latin(str(name))

    def _last(self, locale: str) -> str:
        faker = self._fakers[locale]
        if locale in _ROMANISED:
            return str(faker.last_romanized_name())
        name = faker.last_name_female() if self._chance.random() < 0.5 else faker.last_name_male()
        return latin(str(name))

    def _invented(self) -> str:
        surname = blend(
            self._chance, [list(part) for part in self._lists[self._chance.choice(self._families)]]
        )
        if self._chance.random() >= 0.06:
            return surname
        particle = self._pick("particles")
        return particle + surname if particle in ("Mac", "O'", "al-") else f"{particle} {surname}"

    def organisation(self) -> str:
        """A known company, a start-up, a firm of partners or an institution."""
        draw = self._chance.random()
        if draw < 0.10:
            name = self._pick("organisations")
        elif draw < 0.55:
            name = self.brand()
        elif draw < 0.80:
            name = self.firm()
        else:
            name = self._institution()
        return name.lower() if self._chance.random() < 0.05 else name

    def brand(self) -> str:
        """How start-ups call themselves: Foxnest, CedarPay, Quartz.io, Bold Harbor Robotics, Ply."""
        chance, draw = self._chance, self._chance.random()
        word, end = self._pick("company_words"), self._pick("company_ends")
        if draw < 0.18:
            return word + (end.capitalize() if len(end) > 3 else end)
        if draw < 0.36:
            return word + end
        if draw < 0.42:
            return self._pick("brand_starts") + self._pick("brand_ends")
        if draw < 0.48:
            return blend(
                chance,
                [
                    ["Gr", "Pl", "Z", "X", "Tr", "V", "N", "L", "Op", "Ev", "Dat"],
                    "aeiou",
                    ["ber", "vant", "lo", "dric", "xi", "mera", "sta", "pti", "kko", "nzo", "lara"],
                ],
            )
        if draw < 0.54:
            return word
        if draw < 0.76:
            return self._tailed(f"{word} {self._pick('company_nouns')}", 0.2)
        if draw < 0.90:
            return f"{self._pick('company_adjectives')} {word} {self._pick('company_nouns')}"
        if draw < 0.95:
            return f"{word}{chance.choice(['.io', '.ai', '.com', 'com', ' AI', ' 360', '24', '!'])}"
        return "".join(chance.choices("ABCDEFGHIKLMNOPRSTVWX", k=3)) + chance.choice(
            ["", "", " Group", " Labs"]
        )

    def firm(self) -> str:
        """Named after its owners: Owner Inc, Owner-Owner, Owner, Owner and Owner, Owner & Owner LLP."""
        chance, draw = self._chance, self._chance.random()
        owners = [self._owner() for _ in range(3)]
        if draw < 0.35:
            return f"{owners[0]}, {owners[1]} {chance.choice(['and', 'and', 'and', '&'])} {owners[2]}"
        if draw < 0.55:
            return f"{owners[0]}-{owners[1]}"
        if draw < 0.63:
            return self._tailed(f"{owners[0]} {chance.choice(['&', 'and'])} {owners[1]}", 0.5)
        return f"{owners[0]} {self._pick('company_tails')}"

    def _owner(self) -> str:
        if self._chance.random() < 0.6:
            return str(self._fakers["en_US"].last_name())
        return self._last(self._chance.choice(NAME_LOCALES))

    def _institution(self) -> str:
        word, noun = self._pick("company_words"), self._pick("company_nouns")
        draw = self._chance.random()
        if draw < 0.3:
            return f"{self._pick('schools_of')} {noun}"
        if draw < 0.5:
            kind = self._chance.choice(["Group", "Company", "Project", "Foundation", "Collective"])
            return f"The {word} {kind}"
        if draw < 0.7:
            return f"{self._pick('company_adjectives')} {noun}"
        if draw < 0.85:
            return f"{self._owner()} {noun}"
        return f"{self._pick('schools_of')} {word} {noun}"

    def _tailed(self, name: str, share: float) -> str:
        return f"{name} {self._pick('company_tails')}" if self._chance.random() < share else name

    def _pick(self, words: str) -> str:
        return self._chance.choice(self._lists[words])
