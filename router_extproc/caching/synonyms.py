"""Words and phrases that mean the same: what the cache's guard compares in place of the words of a text.

Owns the tables of synonyms and of two-word phrases, and knows nothing of texts. A meaning is the stem that
stands for a group of words.
"""

from collections.abc import Mapping
from types import MappingProxyType

from router_extproc.caching.stem import stem

PHRASES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("get", "rid"): "remove",
        ("getting", "rid"): "remove",
        ("united", "states"): "usa",
        ("united", "kingdom"): "uk",
        ("prior", "to"): "before",
        ("set", "up"): "setup",
        ("log", "in"): "login",
        ("log", "out"): "logout",
        ("log", "off"): "logout",
        ("sign", "out"): "logout",
        ("zoom", "in"): "enlarge",
        ("zoom", "out"): "shrink",
        ("opt", "in"): "optin",
        ("opt", "out"): "optout",
        ("check", "in"): "checkin",
        ("check", "out"): "checkout",
        ("the", "us"): "usa",
        ("quick", "question"): "please",
        ("sign", "in"): "login",
        ("sign", "up"): "signup",
        ("switch", "on"): "enable",
        ("turn", "on"): "enable",
        ("switch", "off"): "disable",
        ("turn", "off"): "disable",
        ("free", "of"): "without",
        ("a", "lot"): "many",
        ("years", "old"): "old",
        ("more", "than"): "above",
        ("less", "than"): "below",
        ("at", "least"): "minimum",
        ("at", "most"): "maximum",
        ("good", "idea"): "should",
        ("most", "recent"): "latest",
        ("other", "than"): "except",
        ("others", "than"): "except",
        ("rather", "than"): "instead",
        ("instead", "of"): "instead",
        ("apart", "from"): "except",
        ("no", "longer"): "not",
        ("together", "with"): "with",
        ("along", "with"): "with",
        ("as", "well"): "also",
        ("or", "not"): "also",
        ("regular", "expression"): "regex",
        ("virtual", "machine"): "vm",
        ("shut", "down"): "shutdown",
        ("slow", "down"): "decelerate",
        ("cut", "down"): "reduce",
        ("put", "off"): "postpone",
        ("call", "off"): "cancel",
        ("turn", "down"): "decline",
        ("turning", "down"): "decline",
        ("throw", "up"): "vomit",
        ("throwing", "up"): "vomit",
        ("leave", "out"): "without",
        ("leaves", "out"): "without",
        ("leaving", "out"): "without",
        ("right", "away"): "immediately",
        ("at", "once"): "immediately",
        ("straight", "away"): "immediately",
        ("by", "hand"): "manually",
        ("in", "short"): "brief",
        ("in", "brief"): "brief",
        ("in", "addition"): "also",
        ("in", "general"): "generally",
        ("even", "though"): "although",
        ("supposed", "to"): "should",
        ("least", "expensive"): "cheapest",
        ("most", "expensive"): "dearest",
        ("cell", "phone"): "phone",
        ("mobile", "phone"): "phone",
        ("smart", "phone"): "phone",
        ("look", "for"): "find",
        ("looking", "for"): "find",
        ("look", "up"): "find",
        ("find", "out"): "find",
        ("figure", "out"): "find",
        ("give", "up"): "quit",
        ("giving", "up"): "quit",
        ("work", "out"): "exercise",
        ("working", "out"): "exercise",
        ("fall", "asleep"): "sleep",
        ("falling", "asleep"): "sleep",
        ("break", "up"): "breakup",
        ("back", "up"): "backup",
        ("second", "hand"): "secondhand",
        ("side", "effect"): "sideeffect",
        ("side", "effects"): "sideeffect",
        ("adverse", "effect"): "sideeffect",
        ("adverse", "effects"): "sideeffect",
        ("artificial", "intelligence"): "ai",
        ("operating", "system"): "os",
        ("user", "interface"): "ui",
        ("command", "line"): "cli",
        ("pull", "request"): "pr",
        ("such", "as"): "like",
        ("a", "couple"): "few",
        ("teach", "me"): "tell",
        ("walk", "me"): "tell",
        ("get", "better"): "improve",
        ("speed", "up"): "accelerate",
        ("switching", "on"): "enable",
        ("turning", "on"): "enable",
        ("switching", "off"): "disable",
        ("turning", "off"): "disable",
        ("logging", "in"): "login",
        ("signing", "in"): "login",
        ("signing", "up"): "signup",
        ("setting", "up"): "setup",
        ("carry", "out"): "run",
        ("take", "place"): "happen",
        ("close", "to"): "near",
        ("next", "to"): "beside",
        ("in", "between"): "between",
    }
)
"""Two words that mean what one does."""

PHRASE_HEADS = frozenset(first for first, _ in PHRASES)

PARTED = frozenset(("turn", "turns", "turning", "turned", "switch", "switching", "switched"))
"""Verbs whose particle may stand behind their object. None of them heads a phrase that was found."""

_SYNONYMS = """
buy purchase acquire | movie film | picture photo image photograph pic | website site webpage
fast quick fastest quickest faster quicker rapid speedy swift speedily
easy simple easier easiest simplest simpler | big large huge | small little tiny
start begin commence initiate launch | finish complete | fix repair mend solve resolve troubleshoot remedy
reduce decrease lessen curb lower diminish | improve enhance upgrade | increase raise boost
remove delete erase eliminate eradicate rid | car automobile
phone smartphone cellphone telephone mobile handset | computer pc laptop
job profession occupation career employment | company firm | teacher professor | die death dead
effect impact affect influence consequence | cause reason
differ difference different distinguish differentiate distinction apart
important importance significant significance | prepare preparation | pronounce pronunciation | india indian
usa us american america u.s | uk britain british | pakistan pakistani | canada canadian
australia australian | mexico mexican | europe european | online internet | travel visit trip journey
speak talk | learn study | issue problem trouble | create make build construct | math maths mathematics
app application | choose select pick decide decision choice | mistake error | quit stop cease halt resign
female woman lady girl | male man kid child | university college | skill ability
exercise workout excercise | money cash | doctor physician | ill sick sickness illness | happen occur
hide conceal | attractive beautiful pretty | smart intelligent clever | safe secure security safety
rich wealthy | scared afraid | terminate kill | write draft compose author writer | apologise apology
sign symptom | earn make | percent percentage | password passcode | db database | repo repository
config configuration | directory folder | email mail e-mail | shop store | flat apartment | parcel package
trash garbage rubbish | necessary required | prevent avoid | overcome beat | deactivate disable
activate enable | cheap affordable inexpensive | definition define | translate translation
install installation | calculate compute calculation | solution solve | invest investment
develop development | manage management | recover recovery retrieve | depressed depression | hate dislike
scary frightening | famous wellknown | suitable appropriate | allow permit let permission
forbid prohibit ban outlaw | kilometer km | centimeter cm | millimeter mm | mile mi | foot ft | yard yd
gram g | kilogram kg kilo | pound lb | ounce oz | liter l | milliliter ml | celsius centigrade | hour hr
minute min | second sec | kb kilobyte | mb megabyte | gb gigabyte | tb terabyte | dollar usd | euro eur
rupee rs inr | yen jpy | js javascript | ts typescript | py python | postgres postgresql | k8s kubernetes
dad father | mom mum mother | spouse partner | seasick seasickness | biggest largest greatest
characteristic trait attribute | generate produce | danger risk hazard | evidence proof | destroy wreck
answer reply response respond | vacation holiday | street road | wrong incorrect | hire employ recruit
opportunity chance | hard difficult tough | hardest toughest | cut trim | middle centre | reveal disclose
delay postpone | find search lookup locate seek | invoke call | loop iterate | parameter argument
log login signin | signup register enroll | edit modify alter change | switch swap exchange
verify check confirm validate | rules regulations | sum total | pill tablet | medicine medication drug
stomach belly tummy | angry mad | tired exhausted | coworker colleague | boss supervisor | lawyer attorney
cost price pricing | weird strange | exam examination | salary wage | copy duplicate | baby infant
pronounce pronunciation accent | deal cope handle | expand grow growth | tour travel
airplane plane aeroplane aircraft | terrify scary frighten creepy | continue remain | delicious tasty yummy
rotate spin | wear dress | accomplish achieve attain | president presidency presidential | election elect
marry marriage wedding | born birth | tall height | weigh weight heavy | deep depth | wide width
kill murder | gay homosexual | protect protection | embarrass embarrassing | education educational
invite invitation | argue argument | explode explosion | vomit puke | fridge refrigerator | sofa couch
cinema theatre theater | bicycle bike cycle | motorcycle motorbike | ocean sea | trousers pants
glasses spectacles | advantage benefit upside pro | disadvantage drawback downside con | far distance
setup configure | wifi wireless | thaw defrost | lawyer solicitor | create generate | run execute
count number | short brief | fine penalty | elderly old | drip leak | lovely adorable | novel book
reliable legit legitimate trustworthy | profitable lucrative | germany german | france french
spain spanish | italy italian | japan japanese | china chinese | russia russian | england english
brazil brazilian | ireland irish | poland polish | portugal portuguese | sweden swedish | greece greek
switzerland swiss | korea korean | vietnam vietnamese | egypt egyptian | israel israeli | iran iranian
iraq iraqi | africa african | asia asian | norway norwegian | austria austrian | like feel
opinion think thought view | worry care | accident crash collision | pain ache hurt | restart reboot
document doc paperwork | string str | integer int | boolean bool | dictionary dict | variable var
environment env | administrator admin | authenticate authentication auth | authorise authorization
documentation docs | television tv telly | gasoline petrol | rent lease | luggage baggage suitcase
restroom toilet bathroom | subway metro underground | grandma grandmother granny | grandpa grandfather
teen teenager adolescent | fear scared afraid | happy glad joyful happiness | sad sadness
anger angry furious | lonely loneliness | anxious anxiety nervous | stress stressful | fatigue tired
hungry hunger | thirsty thirst | thin skinny slim | fluent fluency | confident confidence
accurate accuracy | popular popularity | strong strength | long length | warm warmth
funny humour humor humorous | poor poverty | arrive arrival | depart departure | refuse refusal
approve approval | survive survival | remove removal | deliver delivery | discover discovery
describe description | explain explanation | subscribe subscription | divide division | conclude conclusion
compare comparison | analyse analysis analyze | fail failure | behave behavior behaviour | sell sale
pay payment | measure measurement | lose loss | receive receipt | nearest closest | nearby near
often frequently | immediately instantly | permanently forever | roughly approximately | entire whole
amount quantity | invent inventor invention | shout yell scream | throw toss | jump leap | fight battle
attack assault | steal theft | smell odor odour stink | taste flavor | rock stone boulder | insect bug
weirdest strangest craziest | stupid dumb silly foolish idiotic | horrible awful terrible | boring dull
employee worker staff | police cop | gun firearm | prison jail | sue lawsuit | crime criminal
government govt | resume cv | phd doctorate | verify verification | vanish disappear | goal aim objective
eligible eligibility | part portion section | newbie novice beginner | utility tool | device gadget
cable cord wire | monitor screen | headphone earphone headset | pimple acne zit | pregnant pregnancy
menstruation menstrual | flu influenza | beverage drink | alcohol liquor booze | marijuana weed cannabis
urine pee urinate | alien extraterrestrial | universe cosmos | earthquake quake | terrorism terrorist terror
boyfriend bf | girlfriend gf | convert transform turn conversion | undo revert rollback
move transfer shift relocate | reserve reservation book booking | refund reimburse reimbursement
complain complaint | sorry apology | year yearly annual annually | day daily | week weekly | month monthly
hour hourly | quarter quarterly | deploy deployment | link url | video clip | nation country | area region
century centuries | treat treatment cure heal | role responsibility duty | institute institution
bacteria germ | odd weird | harm harmful damage | benefit beneficial | clothes clothing attire
item element | newest latest | relieve alleviate soothe ease calm | outside external outdoor outdoors
fee charge | lorry truck | pavement sidewalk | aubergine eggplant | courgette zucchini | nappy diaper
torch flashlight | jumper sweater pullover | tap faucet | mould mold | licence license | practise practice
programme program | catalogue catalog | dialogue dialog | jewellery jewelry | moustache mustache
aluminium aluminum | sulphur sulfur | sulphate sulfate | anaemia anemia | diarrhoea diarrhea
oestrogen estrogen | foetus fetus | paediatric pediatric | enrol enroll | fulfil fulfill
judgement judgment | ageing aging | cosy cozy | pyjamas pajamas | yoghurt yogurt | whisky whiskey
doughnut donut | chilli chili | regex regexp | param arg argument | spec specification | vm virtualmachine
permission privilege | indoor indoors inside | embarrass embarass | cry weep | shutdown poweroff | mix blend
big sizeable | shy timid | strict stern | gist summary summarise summarize | annoy irritate | amaze astonish
hazardous dangerous | rapidly quick | present gift | thief burglar robber | ache sore | itchy itch
bald baldness | blind blindness | deaf deafness | lazy laziness | bored boredom | jealous jealousy
honest honesty | polite politeness | patient patience | violent violence | silent silence | absent absence
independent independence | intelligent intelligence | competent competence | evident evidence
relevant relevance | tolerant tolerance | reliable reliability | available availability
possible possibility | responsible responsibility | visible visibility | flexible flexibility
compatible compatibility | stable stability | probable probability | humid humidity | acid acidic
electric electrical electricity | legal legality | equal equality | fertile fertility | own possess
win winner | async asynchronous asynchronously | sync synchronous synchronously | empty blank | chop cut
typical common | polite courteous | sentence phrase | grade mark | tidy clean | merge combine | join unite
drop discard | crucial essential vital | healthy health | elderly old aged | frequent frequency
certificate certification | symbolise symbol symbolize | romance romantic | technology tech
technique technical | tourist tourism | beauty beautiful | wealth wealthy | success succeed
useful usefulness | usage use | noise noisy | rain rainy | cloud cloudy | taxable tax | grey gray
cookie biscuit | expire expiry expiration | retire retirement | renew renewal | withdraw withdrawal
propose proposal | perform performance | exist existence | depend dependent | appear appearance
assist assistance | attend attendance | resist resistance | guide guidance | insure insurance
allergy allergic | energy energetic | economy economic economical | politics political politician
science scientific | magnet magnetic | metal metallic | history historical historic | logic logical
nature natural | culture cultural | finance financial | commerce commercial | industry industrial
globe global worldwide | memory memorise memorize | tighten tight | maintain maintenance | reveal revelation
receive reception | explode explosive
"""


def _synonyms(table: str) -> Mapping[str, str]:
    """A word of two groups joins them."""
    found: dict[str, str] = {}
    for group in table.strip().replace("\n", "|").split("|"):
        roots = [stem(word) for word in group.split()]
        first = next((found[root] for root in roots if root in found), roots[0])
        for root in roots:
            found.setdefault(root, first)
    return MappingProxyType(found)


MEANINGS = _synonyms(_SYNONYMS)
"""The meaning of a stem that belongs to a group of words."""
