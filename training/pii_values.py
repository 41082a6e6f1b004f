"""Random values for the slots of `training.pii_text`: people, places, numbers with right check digits.

Faker makes what depends on a country; the rest comes from word lists. One `Fillings` holds Faker's providers,
each text gets its own `Values`, in which a person keeps one name.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from faker import Faker

from training.pii_names import NAME_LOCALES, Names
from training.pii_places import PLACE_LOCALES, Places
from training.pii_text import Values, words

LOCALES = tuple(dict.fromkeys([*PLACE_LOCALES, *NAME_LOCALES, "tr_TR", "el_GR", "en_US"]))
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DATES = (
    "%Y-%m-%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%d %b %Y",
    "%m/%d/%y",
    "%B %d",
    "%d %B",
    "%A, %d %B %Y",
    "%d-%m-%Y",
)
_TIMES = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%d/%b/%Y:%H:%M:%S +0000",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d %H:%M",
)
_LICENCES = (
    "?#######",
    "########",
    "#######",
    "#########",
    "?############",
    "?##############",
    "?#####",
    "??######",
    "##########",
    "####-##-####",
    "?###-####-####",
    "?###-###-##-###-#",
    "###-###-###",
    "## ### ###",
    "###??####",
)
_PHONES = (
    "(###) ###-####",
    "###-###-####",
    "###.###.####",
    "+1-###-###-####x###",
    "+1 ### ### ####",
    "001-###-###-####",
    "07### ### ###",
    "020 7### ####",
    "+44 7### ######",
    "0## ### ## ##",
    "+41 (0)## ### ## ##",
    "0#.##.##.##.##",
    "+33 6 ## ## ## ##",
    "04## ## ## ##",
    "0### #######",
    "+46 (0)### ### ##",
    "## ## ## ##",
    "#### ####",
    "### ### ###",
    "### ####",
    "(0#) #### ####",
    "+61 4## ### ###",
    "(##) ####-####",
    "+55 ## #####-####",
    "+91 ##### #####",
    "0##-#######",
    "0## #### ####",
    "+49 1## #######",
    "0#### ######",
    "##########",
)


_TOPICS = {
    "common": "commons",
    "era": "eras",
    "field": "fields",
    "figure": "figures",
    "food": "foods",
    "land": "lands",
    "language": "languages",
    "mark": "marks",
    "matter": "matters",
    "name": "names",
    "other": "others",
    "peoples": "peoples_known",
    "place": "towns_known",
    "role": "roles",
    "scholar": "scholars",
    "star": "stars",
    "surname": "surnames",
    "theory": "theories",
    "tool": "tools",
    "trade": "trades",
    "when": "whens",
    "work": "works",
}


class Fillings:
    """Faker's providers for all locales, seeded from `chance`, which also makes every choice."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = words()
        self._fakers = {locale: Faker(locale) for locale in LOCALES}
        for faker in self._fakers.values():
            faker.seed_instance(chance.getrandbits(32))
        self._names = Names(chance, self._fakers, self._words)
        self._places = Places(chance, self._fakers, self._words)
        self._maker = self._makers()

    def fresh(self) -> Values:
        """Values for one text: asked twice for one slot, they answer the same."""
        answers: dict[tuple[str, int], str] = {}
        people: dict[int, tuple[str, str, str]] = {}

        def value(slot: str, number: int) -> str:
            if (slot, number) not in answers:
                if slot in ("person", "first", "last", "email") and number not in people:
                    people[number] = self._names.person()
                answers[slot, number] = self._value(slot, people.get(number, ("", "", "")))
            return answers[slot, number]

        return value

    def _value(self, slot: str, person: tuple[str, str, str]) -> str:
        match slot:
            case "first":
                return person[0]
            case "last":
                return person[1]
            case "person":
                return person[2]
            case "email":
                return self._email(person)
        return self._maker[slot]()

    def _makers(self) -> dict[str, Callable[[], str]]:
        chance, en, pick = self._chance, self._fakers["en_US"], self._pick
        names, places = self._names, self._places
        return {
            "address": lambda: places.address(chance.choice(["\n", "\n", "\n ", ", ", " "])),
            "address_line": lambda: places.address(chance.choice([", ", ", ", " "])),
            "age": lambda: str(
                chance.choice([chance.randint(18, 80), chance.randint(18, 80), chance.randint(1, 99)])
            ),
            "building": places.house,
            "card": self._card,
            "city": places.city,
            "corner": places.corner,
            "country": places.country,
            "date": lambda: self._moment().strftime(chance.choice(_DATES)),
            "datetime": lambda: self._moment().strftime(chance.choice(_TIMES)),
            "domain": lambda: self._faker().domain_name(),
            "iban": self._iban,
            "ip": lambda: en.ipv4() if chance.random() < 0.85 else en.ipv6(),
            "job": self._job,
            "licence": lambda: en.bothify(chance.choice(_LICENCES)).upper(),
            "month_year": lambda: self._moment().strftime(chance.choice(["%B %Y", "%b %Y", "%m/%Y"])),
            "nationality": lambda: self._cased(pick("nationalities")),
            "org": names.organisation,
            "believers": lambda: self._cased(pick("believers")),
            "brand": names.brand,
            "demonym": lambda: self._cased(pick("demonyms")),
            "firm": names.firm,
            "parties": lambda: self._cased(pick("parties")),
            "party": lambda: self._cased(pick("party_members")),
            "people": lambda: self._cased(pick("peoples")),
            "phone": self._phone,
            "postcode": places.postcode,
            "religion": lambda: self._cased(pick("religions")),
            "secondary": places.secondary,
            "ssn": lambda: (
                en.ssn() if chance.random() < 0.85 else en.ssn().replace("-", chance.choice(["", " "]))
            ),
            "state": lambda: pick("states"),
            "state_abbr": lambda: pick("state_codes"),
            "street": places.street,
            "town": places.town,
            "title": lambda: chance.choice(
                "Mr. Mr. Mrs. Mrs. Ms. Ms. Dr. Dr. Miss Prof. Mr Mrs Ms Dr".split()
            ),
            "url": self._url,
            "weekday": lambda: self._cased(chance.choice(_WEEKDAYS)),
            "year": lambda: str(chance.randint(1930, 2026)),
            "zip": places.postcode,
            **self._look_alikes(),
        }

    def _look_alikes(self) -> dict[str, Callable[[], str]]:
        chance, en = self._chance, self._fakers["en_US"]

        def digits(low: int, high: int) -> str:
            return "".join(chance.choices("0123456789", k=chance.randint(low, high)))

        return {
            **{f"_{slot}": partial(self._pick, f"topic_{words}") for slot, words in _TOPICS.items()},
            "_clock": lambda: chance.choice(
                ["7 am", "10:30", "half past six", "noon", "5pm", "18:45", "3 o'clock", "11:15 PM"]
            ),
            "_code": lambda: en.bothify(
                chance.choice(["??-####", "???-#####", "?##-###", "####-??", "??######"])
            ).upper(),
            "_digits": lambda: digits(4, 9),
            "_epoch": lambda: "1" + digits(9, 9),
            "_float": lambda: f"{chance.uniform(0, 500):.{chance.randint(1, 4)}f}",
            "_hash": lambda: "".join(chance.choices("0123456789abcdef", k=64)),
            "_hex": lambda: "".join(chance.choices("0123456789abcdef", k=chance.choice([3, 6, 8]))),
            "_isbn": lambda: en.isbn13(),
            "_n": lambda: str(chance.randint(2, 10 ** chance.randint(1, 3))),
            "_order": lambda: en.bothify(
                chance.choice(["###-#######-#######", "1Z??########", "#-####-####-##", "##########"])
            ).upper(),
            "_pct": lambda: f"{chance.randint(1, 99)}{chance.choice(['%', ' %', ' percent'])}",
            "_pnr": lambda: en.bothify("??#?#?").upper(),
            "_price": lambda: chance.choice(
                ["${:.2f}", "{:.2f} euros", "\u20ac{:.0f}", "\u00a3{:.2f}", "{:.0f} dollars"]
            ).format(chance.uniform(1, 5000)),
            "_seat": lambda: f"{chance.randint(1, 40)}{chance.choice('ABCDEF')}",
            "_section": lambda: ".".join(str(chance.randint(1, 12)) for _ in range(chance.randint(2, 3))),
            "_uuid": lambda: str(en.uuid4()),
            "_version": lambda: ".".join(str(chance.randint(0, 30)) for _ in range(chance.randint(2, 4))),
        }

    def _faker(self) -> Faker:
        """A third of everything is from the United States."""
        return self._fakers["en_US" if self._chance.random() < 0.3 else self._chance.choice(LOCALES)]

    def _pick(self, words: str) -> str:
        return self._chance.choice(self._words[words])

    def _cased(self, word: str) -> str:
        return word.lower() if self._chance.random() < 0.12 else word

    def _moment(self) -> datetime:
        """Faker's own end with the present, which no seed fixes."""
        return datetime(1940, 1, 1) + timedelta(seconds=self._chance.randrange(86 * 365 * 86_400))

    def _email(self, person: tuple[str, str, str]) -> str:
        first, last = ("".join(filter(str.isascii, filter(str.isalnum, name))) for name in person[:2])
        if not first or not last or self._chance.random() < 0.3:
            return str(self._faker().email())
        name = self._chance.choice(
            [f"{first}{last}", f"{first}.{last}", f"{first[0]}{last}", f"{last}_{first}", f"{first}{last[0]}"]
        )
        host = self._chance.choice(
            ["gmail.com", "outlook.com", "web.de", "yahoo.co.uk", "proton.me", self._faker().domain_name()]
        )
        return f"{name if self._chance.random() < 0.4 else name.lower()}@{host}"

    def _job(self) -> str:
        if self._chance.random() < 0.5:
            job = self._pick("jobs")
            return job if self._chance.random() < 0.5 else job[0].upper() + job[1:]
        kind, _, special = self._fakers["en_US"].job().partition(" (")[0].partition(", ")
        return f"{special} {kind.lower()}".capitalize() if special and "/" not in special else kind

    def _card(self) -> str:
        number: str = self._fakers["en_US"].credit_card_number()
        if len(number) != 16 or self._chance.random() < 0.7:
            return number
        return self._chance.choice(" -").join(number[at : at + 4] for at in range(0, 16, 4))

    def _iban(self) -> str:
        number: str = self._fakers[
            self._chance.choice(
                ["en_GB", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "de_AT", "de_CH"]
            )
        ].iban()
        if self._chance.random() < 0.7:
            return number
        return " ".join(number[at : at + 4] for at in range(0, len(number), 4))

    def _phone(self) -> str:
        if self._chance.random() < 0.5:
            return str(self._faker().phone_number())
        digits = self._chance.choice(_PHONES)
        form = digits.replace("#", "%", 1) if digits[0] in "#(" else digits
        return str(self._fakers["en_US"].numerify(form))

    def _url(self) -> str:
        draw, host = self._chance.random(), self._faker().domain_name()
        if draw < 0.5:
            return f"{self._chance.choice(['http', 'https'])}://{self._chance.choice(['', 'www.'])}{host}/"
        if draw < 0.75:
            return f"https://{host}/{self._fakers['en_US'].uri_path()}"
        return f"www.{host}" if draw < 0.9 else f"https://{host}"
