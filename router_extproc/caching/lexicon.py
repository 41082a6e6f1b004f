"""English word lists of the cache's guard: what may not differ between two texts that ask the same."""

from types import MappingProxyType

NEGATIONS = frozenset(
    "not no never without cannot neither nor non none nothing except excluding lack lacks lacking".split()
)
PREFIXES = ("non", "un", "in", "im", "il", "ir", "dis", "de", "anti", "mis")


def _numerals() -> dict[str, str]:
    """Words for numbers as digits, ordinals apart. "One" is left out: a pronoun more often than a count."""
    units = "zero . two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    tens = "twenty thirty forty fifty sixty seventy eighty ninety"
    large = "hundred thousand million billion trillion dozen half quarter double triple twice thrice"
    ordinals = "second third fourth fifth sixth seventh eighth ninth tenth"
    found = {word: str(value) for value, word in enumerate(units.split()) if word != "."}
    found |= {word: str(10 * value) for value, word in enumerate(tens.split(), start=2)}
    found |= {word: word for word in large.split()}
    return found | {word: f"{value}." for value, word in enumerate(ordinals.split(), start=2)}


NUMERALS = MappingProxyType(_numerals())

FUNCTION_WORDS = frozenset(
    "a an the of to in on at by for with from into onto as is are was were be been being am do does did "
    "doing done have has had can could will would shall should may might must what which who whom whose "
    "when where why how that this these those there it its i me my we us our you your he she they them "
    "their and or but if so then than please tell explain give show".split()
)
"""Words whose place in a sentence says little about what is asked."""


def _opposites(table: str) -> MappingProxyType[str, frozenset[str]]:
    """Each line has two sides; every word of one side opposes every word of the other."""
    found: dict[str, set[str]] = {}
    for line in table.strip().splitlines():
        left, right = (side.split() for side in line.split("|"))
        for side, other in ((left, right), (right, left)):
            for word in side:
                found.setdefault(word, set()).update(other)
    return MappingProxyType({word: frozenset(others) for word, others in found.items()})


OPPOSITES = _opposites("""
enable enables enabled enabling activate | disable disables disabled disabling deactivate
allow allows allowed permit permits permitted | deny denies denied block blocks blocked forbid forbidden prevent prevents
start starts started begin begins begun | stop stops stopped end ends ended
open opens opened opening | close closes closed closing
add adds added adding insert inserted | remove removes removed removing delete deletes deleted deleting
increase increases increased increasing raise raises raised | decrease decreases decreased decreasing reduce reduces reduced lower lowers
maximum max most maximise maximize | minimum min least minimise minimize fewest
more | less fewer
best better | worst worse
advantage advantages pros benefit benefits | disadvantage disadvantages cons drawback drawbacks
before | after
first earliest | last latest
old older oldest | new newer newest
big bigger biggest large larger largest | small smaller smallest
high higher highest | low lower lowest
fast faster fastest quick quicker | slow slower slowest
long longer longest | short shorter shortest
hot hotter hottest warm | cold colder coldest cool
up upward upgrade upgrades upgrading | down downward downgrade downgrades downgrading
in into import imports importing | out export exports exporting
left | right
on | off
buy buys buying bought | sell sells selling sold
win wins won | lose loses lost
connect connects connected | disconnect disconnects disconnected
encrypt encrypts encryption encode encoding | decrypt decrypts decryption decode decoding
install installs installing installed | uninstall uninstalls uninstalling uninstalled
push | pull
send sends sending | receive receives receiving
upload uploads uploading | download downloads downloading
true | false
valid | invalid
cause causes | cure cures treat treatment prevention effect effects consequence consequences symptom symptoms
plus sum | minus difference
multiply multiplied times | divide divided over
advise | warn
safe safely | dangerous
legal | illegal
public | private
income revenue | expense expenses cost costs
parent parents | child children
teacher | student
employer | employee
landlord | tenant
male man men boy | female woman women girl
day | night
summer | winter
morning | evening
strength strengths | weakness weaknesses
similarities | differences
asset assets | liability liabilities
import | export
ascending | descending
positive | negative
""")

CLASSES = tuple(
    frozenset(line.split())
    for line in """
monday tuesday wednesday thursday friday saturday sunday
january february march april june july august september october november december
north south east west northern southern eastern western
python java javascript typescript rust golang ruby kotlin swift php perl scala haskell fortran cobol sql bash powershell
english french german spanish italian portuguese russian chinese mandarin japanese korean arabic hindi dutch polish turkish latin greek
kilometers kilometres km miles meters metres feet inches yards
celsius fahrenheit kelvin
kg kilograms pounds lbs grams ounces
seconds minutes hours days weeks months years
daily weekly monthly yearly annual annually hourly
red orange yellow green blue purple black white
dollar dollars usd euro euros eur yen yuan rupee rupees gbp
linux windows macos android ios ubuntu debian
mysql postgresql postgres sqlite mongodb redis oracle milvus
""".strip().splitlines()
)
