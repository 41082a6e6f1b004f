"""Common English words, and the words instructions to an assistant are made of: how a decoder tells writing.

Also the same words under simple ciphers. Knows nothing of where a text comes from. All functions are linear.
"""

from string import ascii_lowercase, ascii_uppercase

KNOWN = frozenset(
    """
    able about above access account act acting admin administrator after again against agree ahead
    air all allow allowed almost alone already also although always among amount and animal another
    answer answers any anymore anyone anything apply are around artificial ask asked assistant
    attack available avoid away back bad based because become been before begin behavior being
    believe below best between big board body bomb book both boy break bring build business but
    bypass call called came can cannot care case chance change character chatbot chatgpt choose
    class clear close code come command commands company complete comply computer consider
    considered contain content continue control conversation correct could course create credentials
    current dan dangerous data day days debug decide deep describe details developer did difference
    different directly disable disabled disregard does doing done door down drug drugs during each
    earlier easy else email end enough entire ethical ethics even every everyone everything evil
    exactly example examples execute experience explain exploit explosives expose eyes face fact
    false family father feel few fictional filter filters final find first follow followed following
    follows for force forget form formal found free friend friends from full fully game general get
    girl give given goal going good got government gpt great group guideline guidelines hack had
    hand hard harmful has hate have having hear heard held help her here hidden high him himself his
    hold home hours house how human hypothetical idea ignore ignoring illegal immoral important
    include including information initial instead instruction instructions intelligence interest
    internet into issue its jailbreak jailbroken job just keep key keys kill kind know known knows
    land language large last later laws leak learn learning least legal less let letter letters
    level like limit limitations limits line lines list little live local long longer look machine
    made main make makes making malware man many material matter may mean means men message messages
    mind minutes mode model moment money month moral more morning most mother move much music must
    name names nature necessary need needs never new next night nobody normal north not note nothing
    now number obey off often old once one online only open openai opinion option order original
    other our ourselves out output over overridden override own page paper part password passwords
    people perfect person persona personal picture place play please point poison policies policy
    possible power present pretend previous previously print prior private probably problem problems
    process product program programming prompt prompts provide provided public purpose put question
    questions quick quite racist rather reach read real really reason receive refuse related remain
    remember repeat reply report require required response responses restriction restrictions result
    results return reveal right role roleplay root rule rules run safety said same say saying says
    scenario school secret secrets see send sense sentence series serious service set several shall
    she should show side simple simply simulate since situation small social society software some
    someone something sorry sort sound speak specific spell start stay steal step steps still stop
    story strong study style subject such sure system systems table take taken talk task tell ten
    tests text than thank thanks that the their them themselves then there these they thing things
    think this thought three through tied time today together token told tomorrow too top topic
    total towards train translate true try trying turn two type uncensored under understand
    unethical unfiltered unless unlock unlocked unrestricted until upon use used user users using
    usually verbatim very view violence virus voice wait walk want wanted warning warnings was water
    way weapon weapons website week weeks well went were what whatever when where whether which
    while white who whole whose why will wish with within without woman word words work worked
    working world would write writes written wrong year years yes yet you your yourself
    """.split()
)
"""Lower case, three letters or more."""

_LETTERS = ascii_lowercase + ascii_uppercase
ROTATIONS = (
    *(
        str.maketrans(_LETTERS, 2 * (ascii_lowercase[-shift:] + ascii_lowercase[:-shift]))
        for shift in range(1, 26)
    ),
    str.maketrans(_LETTERS, 2 * ascii_lowercase[::-1]),
)
"""What takes off a shift of the alphabet by 1 to 25 letters (13: rot13), and the alphabet turned about. The
result is in lower case, which is what the encoder reads."""

REVERSED = len(ROTATIONS)
"""The cipher that writes backwards, among those of `CODED`."""

_LONGEST = max(map(len, KNOWN))


def _coded() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for word in KNOWN:
        forms = [word.translate(rotation) for rotation in ROTATIONS[24::-1] + ROTATIONS[25:]] + [word[::-1]]
        for cipher, form in enumerate(forms):
            if form not in KNOWN:
                found[form] = (*found.get(form, ()), cipher)
    return found


CODED = _coded()
"""Known words as each cipher writes them, without what is a known word itself, and the ciphers that do:
places in `ROTATIONS`, or `REVERSED`."""


def known_share(words: list[str]) -> float:
    """The share of the letters of `words` (any case) that belong to known words; 0 for no letters."""
    letters = sum(map(len, words))
    return sum(len(word) for word in words if word.lower() in KNOWN) / letters if letters else 0.0


def parted(letters: str) -> list[str]:
    """`letters`, written without spaces, as words: known ones where they cover most, and what is between."""
    lower = letters.lower()
    best, came = [0] * (len(letters) + 1), [1] * (len(letters) + 1)
    for end in range(1, len(letters) + 1):
        best[end] = best[end - 1]
        for length in range(3, min(end, _LONGEST) + 1):
            score = best[end - length] + length * length
            if score > best[end] and lower[end - length : end] in KNOWN:
                best[end], came[end] = score, length
    words: list[str] = []
    end, rest = len(letters), len(letters)
    while end:
        if (length := came[end]) > 1:
            words += [letters[end:rest], letters[end - length : end]]
            rest = end - length
        end -= length
    words.append(letters[:rest])
    return [word for word in reversed(words) if word]
