"""English word lists of the cache's guard: what may differ between two texts that ask the same, and what may not.

Owns the lists and their meaning, and knows nothing of texts. Words are lower case, "'" is the only
apostrophe, and tables hold plain forms: most are keyed by `stem`, so that "cat" also stands for "cats". A
meaning is the stem that stands for a group of words; a word of no group means its own stem.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from router_extproc.caching.stem import stem
from router_extproc.caching.synonyms import MEANINGS


def _stems(words: str) -> frozenset[str]:
    return frozenset(map(stem, words.split()))


NEGATIONS = frozenset(
    "not no never without cannot cant dont doesnt didnt isnt wont neither nor non none nothing nobody nowhere except excluding "
    "unable lack lacks lacking hardly rarely seldom".split()
)
DENYING_WORDS = _stems(
    "avoid prevent fail refuse stop quit decline forbid prohibit deny impossible broken block bar"
)
"""Words that negate by themselves what they are said of, as "not" does."""
UNNEGATED_WORDS = _stems(
    "asleep across along alike alive aloud abroad aside away award amount about import improve inform income input inside include "
    "increase intend inform intake indeed instep depart default demand detail define describe design develop display discover "
    "discount distance distress distract discuss until under unit unique mission impress imprint improve ashore await arise arose "
    "abuse around inland instead indoor inborn inflow insight anew apart ahead afoot ablaze denote deform defend delight determine"
)
"""Words that begin as if they were negated and are not."""
PREFIXES = ("non", "un", "in", "im", "il", "ir", "dis", "de", "anti", "mis", "ab", "a")
"""What turns a word into its negation."""


def _numerals() -> dict[str, str]:
    """Words for numbers as digits, ordinals with a point behind. "One" and "first" are left out: they are
    pronouns and adverbs more often than numbers."""
    units = "zero . two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    tens = "twenty thirty forty fifty sixty seventy eighty ninety"
    large = "hundred thousand million billion trillion dozen half quarter double triple twice thrice"
    ordinals = (
        "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
        "seventeenth eighteenth nineteenth twentieth"
    )
    found = {word: str(value) for value, word in enumerate(units.split()) if word != "."}
    found |= {word: str(10 * value) for value, word in enumerate(tens.split(), start=2)}
    found |= {word: word for word in large.split()}
    found |= {"twice": "2", "thrice": "3", "ii": "2", "iii": "3", "dozen": "12"}
    return found | {word: f"{value}." for value, word in enumerate(ordinals.split(), start=2)}


NUMERALS = MappingProxyType(_numerals())

MULTIPLES = MappingProxyType(
    {
        stem(unit): (size, stem(larger))
        for unit, size, larger in (
            ("second", 60, "minute"),
            ("minute", 60, "hour"),
            ("hour", 24, "day"),
            ("day", 7, "week"),
            ("month", 12, "year"),
            ("percent", 0, ""),
        )
    }
)
"""How many of a unit make one of a larger one. None do for a percentage: it has fractions."""

ROLES = frozenset(
    "to from in into on onto of off at by for with before after than over under as against between via vs versus since until through "
    "during inside within outside about and or which".split()
)
"""Words that give the words after them a part to play."""

DETERMINERS = frozenset("a an the my your our his her its their this that these those some any".split())

FUNCTION_WORDS = frozenset(
    """
a an the upon among out up around back am is are was were be been being do does did doing done have has had having
can could will would shall should may might must ought what which who whom whose when where why how that this these those there here
it its itself i me my mine myself we us our ours you your yours yourself he him his himself she her hers herself
they them their theirs themselves oneself one's but if so then also too either such while whats hows whos im ive id s t m re ve d ll r u ur
i'm i've i'd i'll you're you've you'd you'll we're we've we'd we'll they're they've he's she's it's that's there's let's
please pls kindly tell per explain describe help hi hello hey thanks thank dear ok okay yes let give show
""".split()
) | ROLES - {"before", "after", "since", "until", "against"}
"""Words with no subject of their own: they come and go."""

LIGHT_WORDS = _stems("""
some any one someone anyone somebody anybody everyone everybody something anything person guys folks really actually exactly
truly just very ever quite simply basically generally usually normally currently now still even already yet anyway etc like
possible possibly able good best great nice better ideal proper right most more much many lot well other another different certain particular
way method technique step tip trick suggestion advice idea recommendation recommend suggest guide procedure process
get know think believe want need wish feel consider become go going would try take have come see look keep happen exist mean
both regarding concerning kind type stuff thing each various several few wondering wonder curious info information
opinion thought view say world earth life time real true interesting amazing awesome common main major important human successful effective
efficient useful perfect top famous popular fact example similarity full complete properly correctly today nowadays present current
""")
"""Words about the asking, or so general that the vectors may judge them: they come and go unless little else
is left."""

TELLING_LIGHT_WORDS = _stems(
    "use mean possible other another everyone everybody type kind like think look create make want need fact example"
)
"""Light words that tell one question from another when little else is left."""

MINOR_WORDS = _stems("""
heard watched follow exam career job tool option choice work healthy quality concept function role purpose skill language
subject topic number year day country city beginner newbie together contain include command code script snippet all every whole entire
respective eventually choose start learn study prepare improve earn buy fix watch read visit account service program website use create find single list
easy new available necessary suitable require similar absolute serious detail accurate helpful knowledge level issue place opportunity
live big far overcome self body extremely highly overall truth
ask develop recover upcoming biggest fast name
""")
"""Words that one of the two texts may add when all else agrees."""

NARROWING_WORDS = _stems("""
kid baby adult teenager student parent man woman boy girl husband wife boyfriend girlfriend friend family company business startup
office home house school university college software hardware web system engineer engineering science academic computer desktop
server android iphone windows mac entrepreneur manager leader employee fresher expert professional free cheap online offline email
formula algorithm theory virtual fake average daily week month night morning institute course mba degree diploma
""")
"""Words that make another question of one when they are added: whose, where, of what sort."""

REVERSING_WORDS = _stems(
    "fail stop quit avoid prevent against instead except oppose cancel undo refuse free fake former formerly ex only first last always"
)
"""Words that turn what is asked around, or single something out."""

WAYS = frozenset(
    "way ways method methods step steps tip tips technique techniques trick tricks procedure process strategy strategies".split()
)
AUXILIARIES = frozenset(
    "is are was were do does did can could will would should has have had am may must shall isn't aren't doesn't don't can't won't shouldn't".split()
)

_OPPOSITES = """
enable / disable deactivate | allow / deny block forbid prevent | start open / stop end finish close
open / close shut | add insert / remove delete
increase raise rise grow gain / decrease reduce lower fall drop shrink lose
maximum max most maximise / minimum min least minimise fewest | more / less fewer
best better good great / worst worse bad poor terrible
advantage pro benefit upside strength / disadvantage con drawback downside weakness | before / after
first earliest / last latest | early earlier / late later
old older oldest ancient / new newer newest modern young | big bigger biggest / small smaller smallest
high higher highest / low lower lowest | fast faster fastest / slow slower slowest
long longer longest lengthen / short shorter shortest shorten
hot hotter hottest warm / cold colder coldest cool | up upward upgrade / down downward downgrade
in into inside inner import inbound incoming / out outside outer export outbound outgoing | left / right
on / off | buy / sell | win / lose | connect / disconnect | encrypt encode / decrypt decode
install / uninstall | push / pull | send / receive | upload / download | true / false | valid / invalid
cause / cure treat treatment effect symptom prevent
plus sum addition / minus difference subtract subtraction | multiply multiplied times / divide divided
advise / warn | safe safely / dangerous unsafe risky | legal legally / illegal illegally | public / private
income revenue / expense cost | parent / child | teacher / student | employer / employee
landlord owner / tenant | male / female | father / mother | brother / sister | son / daughter
husband / wife | uncle / aunt | boy / girl | he him his himself / she her hers herself | king / queen
day daytime / night nighttime | summer / winter | morning am / evening night pm | similarity similar / differ
asset / liability | ascending / descending | positive / negative | attach mount bind / detach unmount unbind
merge join combine / split separate | expand unfold / collapse fold | lock / unlock | mute / unmute
absorb / release emit | freeze / thaw melt | deposit / withdraw | lend / borrow
hire employ recruit / fire dismiss | reward / penalty punishment | loud noisy / silent quiet
friendly / hostile | formal / informal casual | lossy / lossless
sync synchronous synchronously / async asynchronous asynchronously | client / server
horizontal horizontally / vertical vertically | inner / outer | sweet / dry sour bitter
deciduous / evergreen | favor / opposition | support for pro / oppose against anti
compress zip / decompress unzip | arrive arrival / depart departure leave | enter entry entrance / exit
ask question / answer | read / write | attack offense / defend defense | include / exclude
accept approve / reject decline refuse | pass / fail | success succeed / failure
internal internally / external externally | upper uppercase / lower lowercase | above over / below under
front forward / back backward | near nearest / far farthest | heavy heavier heaviest / lighter lightest
hard harder hardest difficult / easy easier easiest soft | strong stronger strongest / weak weaker weakest
rich richest / poor poorest cheap | cheap cheaper cheapest / expensive | happy / sad unhappy
love like / hate | always / never sometimes | all every / none | with / without | today / yesterday tomorrow
yesterday / tomorrow | next future upcoming / last previous past | ago / later | now currently / formerly
local locally / remote remotely | static statically / dynamic dynamically
manual manually / automatic automatically | temporary temporarily / permanent permanently | full / empty
wet / dry | clean / dirty | thick thin / fat | wide widen broad / narrow | deep / shallow
frontend / backend | male masculine / feminine | singular / plural | active / passive inactive
abstract / concrete | analogue / digital | profit gain / loss | grant assign / revoke
subscribe follow / unsubscribe unfollow | undo / redo | load / unload | pack wrap / unpack unwrap
save store keep / discard restore | create / destroy delete | born birth / die | marry marriage / divorce
remember / forget | keep / lose | show / hide | speed accelerate / slow decelerate | majority / minority | odd / even
row / column | ceiling ceil roof / floor | numerator / denominator | vegetarian vegan / meat
north northern / south southern | east eastern / west western | noon / midnight | spring / autumn fall
import / export | take / give | and / or | make build / break | optional / mandatory required compulsory
arrive / leave | liquid / solid | domestic / foreign | urban / rural | theoretical / practical
single / married | guilty / innocent | major / minor | natural / artificial | wholesale / retail
demand / supply | cpu / gpu | tcp / udp | http / https | stack / queue
parallel serial / sequential | primary / secondary | virtual / real physical | peak / trough
increase / decline | appear / disappear | agree / disagree | employed / unemployed
underweight / overweight | hypothermia / hyperthermia | inhale / exhale | implicit / explicit
mutable / immutable | ahead / behind | domestic / international | introvert / extrovert | credit / debit
theist / atheist | guest / host | predecessor / successor | ancestor / descendant
sunrise dawn / sunset dusk | bright / dark dim | tight / loose | smooth / rough | sharp / blunt
raw / cooked | alive / dead | awake / asleep | ugly / beautiful | brave / coward | tall / short
flexible / rigid | voluntary / involuntary | login / logout | enlarge / shrink | optin / optout | checkin / checkout | work / fail | simplified / traditional | expensive dearest / cheapest
"""

_CLASSES = """
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
north south east west northern southern eastern western
python java javascript typescript rust golang ruby kotlin swift php perl scala haskell fortran cobol sql bash powershell c
english french german spanish italian portuguese russian chinese mandarin japanese korean arabic hindi dutch polish turkish latin greek swedish urdu tamil
kilometer mile meter foot inch yard centimeter millimeter acre hectare
celsius fahrenheit kelvin c f k
kilogram pound gram ounce ton tonne mg stone
kb mb gb tb ki mi gi ti kib mib gib kilobit megabit gigabit bit byte gibibyte mebibyte kibibyte
liter milliliter gallon pint cup teaspoon tablespoon quart
millisecond microsecond nanosecond ms us ns second minute hour day week month year decade century quarter
daily weekly monthly quarterly yearly annual annually hourly nightly
degree radian gradian
psi bar pascal atmosphere torr
watt kilowatt megawatt joule calorie volt ampere amp ohm
pixel point em rem inch
hertz kilohertz megahertz gigahertz hz khz mhz ghz
red orange yellow green blue purple black white pink brown grey gray
dollar euro yen yuan rupee pound gbp peso franc krona
linux windows macos mac android ios ubuntu debian fedora
mysql postgres sqlite mongodb redis oracle milvus mariadb
aws azure gcp
breakfast lunch dinner supper
morning noon afternoon evening night midnight
yesterday today tomorrow tonight
physics chemistry biology math history geography economics
cat dog puppy kitten horse cow bird fish
mother father sister brother son daughter uncle aunt cousin grandmother grandfather wife husband girlfriend boyfriend
head neck shoulder arm elbow wrist hand finger back chest stomach hip leg knee ankle foot toe eye ear nose mouth tooth throat
spring summer autumn fall winter
public private protected
post put patch delete
int float string bool boolean char double
facebook instagram twitter whatsapp snapchat youtube gmail tiktok linkedin
gold silver bronze platinum
son daughter father mother brother sister parent child
primary secondary tertiary
staging production development
beginner intermediate advanced expert
india china pakistan usa uk canada australia germany france italy spain japan russia brazil mexico
json xml yaml csv toml html
http https ftp ssh tcp udp
iphone android
beef pork chicken lamb fish turkey
"""


def _split(table: str, separator: str) -> Iterable[str]:
    return (part for part in table.replace("\n", separator).split(separator) if part.strip())


def meaning(word: str) -> str:
    """What the guard compares instead of `word`."""
    root = stem(word)
    return MEANINGS.get(root, root)


def _opposites(table: str) -> Mapping[str, frozenset[str]]:
    """Every word of one side opposes every word of the other."""
    found: dict[str, set[str]] = {}
    for pair in _split(table, "|"):
        left, right = ({meaning(word) for word in side.split()} for side in pair.split("/"))
        for side, other in ((left, right), (right, left)):
            for word in side:
                found.setdefault(word, set()).update(other - {word})
    return MappingProxyType({word: frozenset(others) for word, others in found.items()})


OPPOSITES = _opposites(_OPPOSITES)


def _classes(table: str) -> Mapping[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, members in enumerate(_split(table, "\n")):
        for word in members.split():
            found.setdefault(meaning(word), set()).add(number)
    return MappingProxyType({word: frozenset(numbers) for word, numbers in found.items()})


CLASSES = _classes(_CLASSES)
"""The numbers of the closed classes that a meaning is a member of."""


def _meanings(stems: Iterable[str]) -> frozenset[str]:
    return frozenset(MEANINGS.get(each, each) for each in stems)


DENYING = _meanings(DENYING_WORDS)
UNNEGATED = _meanings(UNNEGATED_WORDS)
PHRASE_STARTS = ROLES | {"when", "where", "while", "if", "because", "as", "then"}
"""What a phrase that may stand anywhere in a sentence begins with."""
LIGHT = _meanings(LIGHT_WORDS)
TELLING = _meanings(TELLING_LIGHT_WORDS)
MINOR = _meanings(MINOR_WORDS)
NARROWING = _meanings(NARROWING_WORDS) - MINOR
FIRM = (frozenset(CLASSES) | _meanings(REVERSING_WORDS)) - MINOR - LIGHT
"""Meanings that must be in both texts or in neither."""
