"""English words without their inflection: "files", "filing" and "filed" become what "file" becomes.

Knows endings and irregular forms, nothing of meanings. Light on purpose: it must not join "new" and
"news", and what it returns need not be a word.
"""

from types import MappingProxyType

_IRREGULAR = """
went gone goes go | bought buy | thought think | got gotten get | made make | taken took take
given gave give | known knew know | seen saw see | found find | lost lose | felt feel | kept keep
told tell | said say | became become | came come | began begun begin | wrote written write
broke broken break | chose chosen choose | spoke spoken speak | ate eaten eat | drank drunk drink
fell fallen fall | flew flown fly | grew grown grow | met meet | paid pay | ran run | sent send
sold sell | spent spend | stood stand | stole stolen steal | taught teach | threw thrown throw
understood understand | won win | wore worn wear | forgot forgotten forget | died dying die | lying lie
held hold | built build | brought bring | caught catch | sought seek | meant mean | led lead | dealt deal
heard hear | slept sleep | drove driven drive | rode ridden ride | hid hidden hide | froze frozen freeze
stuck stick | shot shoot | sang sung sing | swam swum swim | rose risen rise | drew drawn draw
blew blown blow | proven prove | tried tries trying try | fried frying fry | worse bad
used uses using use | men man | women woman | children child | feet foot | teeth tooth | mice mouse
wives wife | lives life | people person | criteria criterion | analyses analysis | indices indexes index
vertices vertex | matrices matrix | bacteria bacterium | favour favor | favourite favorite | colour color
behaviour behavior | neighbour neighbor | centre center | metre meter | kilometre kilometer
centimetre centimeter | millimetre millimeter | millilitre milliliter | litre liter | labour labor
flavour flavor | honour honor
"""
"""The last word of a group has the stem of all of it."""

_KEPT = """
quite | news | plane planes | care cares cared caring | rate rates rating rated | code codes coding coded
wine wines | hope hopes hoping hoped | note notes noted | site sites | fate | hate hates hated hating
cute | bare | tube | bus buses | gas gases | class classes | less | series | species | physics
thing things | spring | process processes processing processed | address addresses addressing
business businesses | string strings | king kings | ring rings | wedding weddings | building buildings
meeting meetings | during | evening | morning | nothing | need needs needed | embed embeds | feed feeds
speed speeds | seed seeds | user users | lens lenses | always | perhaps | early | daily | family families
apply applies applied applying | reply replies replied replying | supply supplies supplied supplying
rely relies relied relying | only
italy | july | ally allies | jelly | belly | hundred | sibling siblings | ceiling | darling | bed beds
red | wing wings | sing sings singing | bring brings bringing | ping pings | java | war wars | star stars
stare | fire fires fired firing | hire hires hired hiring | price prices | data | canvas | https | css
aws | redis | kubernetes | postgres | dns | ios | sms | gps | pandas | jenkins | texas | paris | tennis
virus viruses
"""
"""The first word of a group is the stem of all of it: the rules below would join it with another word."""


def stem(word: str) -> str:
    """What is left of `word`, lower case, without the ending of a plural, a tense or an adverb, and with
    one spelling for -ise and -ize. Words outside ASCII and short ones stay as they are."""
    known = _FORMS.get(word)
    if known is None and word.endswith("s"):
        known = _FORMS.get(word[:-1])
    return _regular(word) if known is None else known


def _regular(word: str) -> str:
    if len(word) < 4 or not word.isascii():
        return word
    last = word[-1]
    if last == "s":
        if word.endswith("ies") and len(word) > 4:
            word = word[:-3] + "y"
        elif word.endswith(("sses", "shes", "ches", "xes", "zzes")):
            word = word[:-2]
        elif word[-2] not in "sui":
            word = word[:-1]
    elif last == "y" and word[-2] == "l" and len(word) > 5:
        word = word[:-2]
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
    elif word.endswith("ed") and len(word) > 4 and word[-3] != "e":
        word = word[:-2]
    return _end(word) if len(word) > 3 else word


def _end(word: str) -> str:
    """One letter of a doubled consonant, no silent e, i for y."""
    last = word[-1]
    if last == word[-2] and last not in "sze":
        word = word[:-1]
        last = word[-1]
    if last == "e":
        word = word[:-1]
    elif last == "y":
        word = word[:-1] + "i"
    if word.endswith("is") and len(word) > 4:
        word = word[:-1] + "z"
    return word


def _groups(table: str) -> list[list[str]]:
    return [group.split() for group in table.replace("\n", "|").split("|") if group.strip()]


_FORMS = MappingProxyType(
    {word: _regular(group[-1]) for group in _groups(_IRREGULAR) for word in group}
    | {word: group[0] for group in _groups(_KEPT) for word in group}
)

_DERIVED = (
    *("ation", "ition", "ion", "ment", "ness", "iti", "ous", "ful", "ical", "ic", "al"),
    *("iv", "anc", "enc", "er", "or", "ist", "at"),
)


def root(stemmed: str) -> str:
    """A stem without the ending that makes it another part of speech, when enough is left to know it by:
    "educat" and "education" are the same then. Coarser than `stem`: for words that found no match."""
    for ending in _DERIVED:
        if stemmed.endswith(ending) and len(stemmed) - len(ending) >= 5:
            return stemmed[: -len(ending)]
    return stemmed
