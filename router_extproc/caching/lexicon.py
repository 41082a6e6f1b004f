"""English word lists of the cache's guard: what may not differ between two texts that ask the same."""

from types import MappingProxyType

NEGATIONS = frozenset(
    "not no never without cannot neither nor non none nothing except excluding lack lacks lacking".split()
)
PREFIXES = ("non", "un", "in", "im", "il", "ir", "dis", "de", "anti", "mis")
NUMERALS = MappingProxyType(
    # "one" is a pronoun more often than a count.
    {
        w: str(n)
        for n, w in enumerate("zero . two three four five six seven eight nine ten eleven twelve".split())
    }
)


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
cause causes | cure cures treat treatment prevention
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
