"""Streets, towns, postal codes and addresses for `training.pii_values`, in the layouts of many countries.

Knows no slots, templates or types of personal data.
"""

import random
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Faker is handed in: only `training.pii_values` needs it
    from faker import Faker

PLACE_LOCALES = (
    "en_US en_GB de_DE fr_FR es_ES it_IT nl_NL sv_SE pl_PL pt_BR en_IN en_AU en_CA en_NZ cs_CZ da_DK fi_FI"
    " hu_HU no_NO sl_SI hr_HR et_EE ro_RO de_AT de_CH es_MX pt_PT sk_SK nl_BE es_CO zu_ZA"
).split()
_ENGLISH = frozenset(locale for locale in PLACE_LOCALES if locale.startswith("en"))
_ZIPS = (
    "#### #### #### ### ##### ##### ##### ####-### ##-### ###-#### ###_## ###### #####-#### #####-###"
    " ?#?_#?# ??#_#?? ?##_#?? ??##_#?? ?#_#?? ????_#?? ####_?? AZ#### LV-#### LT-#####"
    " SE-###_## H-#### D-##### CY-#### ##-##"
).split()
UPPER_CASE = 0.2
"""Share of the towns that are written in capitals."""

_FLATS = (
    "Apt. {:03}",
    "Suite {:03}",
    "Apt. {:03}",
    "Suite {:03}",
    "Apt {}",
    "Flat {}",
    "Unit {}",
    "Apt. {}B",
    "#{}",
    "Floor {}",
    "Room {}",
    "Apartment {}",
    "Ste {}",
    "flat {}",
    "Wohnung {}",
    "lok. {}",
    "dør {}",
)


def fill_code(chance: random.Random, form: str) -> str:
    """`#` is a digit, `?` a capital letter and `_` a space."""
    choices = {"#": string.digits, "?": string.ascii_uppercase, "_": " "}
    return "".join(chance.choice(choices.get(letter, letter)) for letter in form)


class Places:
    """Draws places with `chance` from `fakers` (those of `PLACE_LOCALES` and el_GR) and the word lists."""

    def __init__(
        self, chance: random.Random, fakers: Mapping[str, "Faker"], lists: Mapping[str, Sequence[str]]
    ) -> None:
        self._chance, self._fakers, self._lists = chance, fakers, lists

    def city(self) -> str:
        """A known city, or a town as `town` draws it."""
        return self._pick("cities") if self._chance.random() < 0.3 else self.town()

    def town(self) -> str:
        """A smaller place somewhere in the world, now and then in capitals, rarely in Greek letters."""
        draw = self._chance.random()
        if draw < 0.35:
            town = self._pick("towns")
        elif draw < 0.65:
            town = str(self._faker().city())
        elif draw < 0.98:
            town = self._pick("town_starts") + self._pick("town_ends")
            tail = self._pick("town_tails")
            town = f"{town} {tail}" if tail else town
        else:
            town = str(self._fakers["el_GR"].city())
        return town.upper() if self._chance.random() < UPPER_CASE else town

    def country(self) -> str:
        """Nine in ten by its usual name, the rest by its full one."""
        return (
            self._pick("countries") if self._chance.random() < 0.9 else str(self._fakers["en_US"].country())
        )

    def postcode(self) -> str:
        """Of three to nine characters in the form of some country."""
        if self._chance.random() < 0.4:
            return str(self._faker().postcode())
        return fill_code(self._chance, self._chance.choice(_ZIPS))

    def house(self) -> str:
        """The number of a building, up to five digits, rarely with zeros before it or a letter after it."""
        chance = self._chance
        digits = str(chance.randint(1, 10 ** chance.randint(1, 5)))
        if chance.random() < 0.12:
            return digits.zfill(chance.randint(3, 5))
        return digits + (chance.choice("abcABC") if chance.random() < 0.04 else "")

    def street(self) -> str:
        """With a number or without, as the country has it."""
        if self._chance.random() < 0.6:
            return self._shaped()
        locale = "en_US" if self._chance.random() < 0.35 else self._chance.choice(PLACE_LOCALES)
        name, draw = str(self._fakers[locale].street_name()), self._chance.random()
        if draw < 0.45:
            return name
        number = str(self._chance.randint(1, 250)) + self._chance.choice(["", "", "", "", "a", "B"])
        return f"{number} {name}" if locale in _ENGLISH or locale == "fr_FR" else f"{name} {number}"

    def _shaped(self) -> str:
        chance, lists = self._chance, self._lists
        number = str(chance.randint(1, 10 ** chance.choice([1, 2, 2, 2, 3, 4])))
        shape = chance.choice(lists["street_shapes"])
        if chance.random() < 0.2 and "Box" not in shape and not shape.startswith(("Post", "Cas")):
            shape = shape.replace(" {n}.", "").replace(", {n}", "").replace(" {n}", "")
            shape = shape.removeprefix("{n}, ").removeprefix("{n} ")
        return shape.format(
            n=number,
            w=self._pick("street_w"), s=self._pick("street_s"), h=self._pick("street_h"),
            r=self._pick("street_r"), i=self._pick("street_i"), f=self._pick("street_f"),
            g=self._pick("street_g"), e=self._pick("street_ends_en"), e2=self._pick("street_en"),
            dir=self._pick("street_dirs"),
        )  # fmt: skip

    def secondary(self) -> str:
        """A flat, suite or floor."""
        return self._chance.choice(_FLATS).format(self._chance.randint(1, 999))

    def corner(self) -> str:
        """Two streets that meet, or the name of a lane without a number."""
        draw = self._chance.random()
        pair = f"{self._junction()} and {self._junction()}"
        return f"the corner of {pair}" if draw < 0.8 else pair

    def _junction(self) -> str:
        if self._chance.random() < 0.6:
            return self.street()
        en = self._fakers["en_US"]
        return f"{en.first_name() if self._chance.random() < 0.5 else en.last_name()} {en.street_suffix()}"

    def address(self, gap: str) -> str:
        """A whole address, in parts that `gap` separates: as a country writes it, with a flat, a state and a
        country in any mix, two streets that meet, or a military one."""
        draw = self._chance.random()
        if draw < 0.07:
            return self._military(gap)
        if draw < 0.13:
            return str(self._faker().address().replace("\n", gap))
        if draw < 0.20:
            return self.corner()
        if draw < 0.50:
            return self._native(gap)
        return self._numbered(gap)

    def _numbered(self, gap: str) -> str:
        """Building, street, flat, then town, state and country, as forms ask for them."""
        chance = self._chance
        flat = chance.choice(["", " ", " ", gap])
        head = f"{self.house()} {self.street()}{flat}{self.secondary() if flat else ''}"
        town, code = self.town(), self.postcode()
        state = self._pick("state_codes") if chance.random() < 0.85 else "nan"
        country = chance.choice([self.country(), self.country(), ""])
        tails = [
            f"{town}, {state} {code}",
            f"{town}{gap}{country or self.country()} {code}",
            f"{town}{gap}{country or self.country()}",
            f"{town}, {state}{gap}{country or self.country()} {code}",
            f"{town}{gap}{', ' if ',' not in gap else ''}{state}{gap}{country} {code}",
            f"{town} {country or self.country()}",
            f"{town} {state}",
            f"{town} {code}",
        ]
        return head + gap + chance.choice(tails).strip().replace("  ", " ")

    def _native(self, gap: str) -> str:
        """The layouts of letters: code before or after the town, flat first, town first, country or none."""
        chance = self._chance
        street, town, code = self.street(), self.town(), self.postcode()
        body = chance.choice(
            [
                f"{street}{gap}{code} {town}",
                f"{street}{gap}{town} {code}",
                f"{self.secondary()}, {street}{gap}{town}{gap}{code}",
                f"{self.secondary()}{gap}{street}{gap}{town}",
                f"{code} {town}, {street}",
                f"{town}, {street}",
                f"{street}{gap}{town}, {self._pick('states')} {code}",
                f"{street} {self.secondary()}{gap}{code} {town}",
                f"{street}{gap}{town}",
            ]
        )
        return body + (gap + self.country() if chance.random() < 0.5 else "")

    def _military(self, gap: str) -> str:
        chance = self._chance
        office, region = chance.choice(["APO", "FPO", "DPO"]), chance.choice(["AA", "AE", "AP"])
        tail = f"{office} {region} {chance.randint(0, 99_999):05}"
        name = self._fakers["en_US"].last_name()
        ship = chance.choice(["USS", "USNS", "USCGC", "USNV"])
        head = chance.choice(
            [
                f"PSC {chance.randint(1, 9999):04}, Box {chance.randint(1, 9999):04}",
                f"Unit {chance.randint(1, 9999):04} Box {chance.randint(1, 9999):04}",
                f"{ship} {name}",
            ]
        )
        return f"{head}{gap}{tail}"

    def _faker(self) -> "Faker":
        locale = "en_US" if self._chance.random() < 0.25 else self._chance.choice(PLACE_LOCALES)
        return self._fakers[locale]

    def _pick(self, words: str) -> str:
        return self._chance.choice(self._lists[words])
