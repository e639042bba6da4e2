"""Personal data in texts, replaced by what it is: e-mail addresses, phone numbers, cards, IBANs and IP addresses.

Numbers are recognised by libraries that know their rules: `phonenumbers` (Google's metadata, new every month), and
`python-stdnum` for the check digits of cards and IBANs, with the standard library's `ipaddress`. Presidio would know
names too, but brings spaCy, which loads torch where that is installed, and a model to download; Scrubadub was not
released since 2023; DataFog alone finds no IBANs, no IPv6 and few numbers from outside America. Names, places and what
is said about somebody are *not* recognised: whoever exports texts for others reads them first.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from trimtab.errors import InputError

REGIONS: Final = ("US", "GB", "DE", "FR", "JP")
"""Countries whose numbers are recognised without +, unless others are named."""

# Bounded, so that no text, however it was made, takes long.
_EMAIL: Final = re.compile(r"[\w.+%'-]{0,63}[\w+%]@(?:\w[\w-]{0,62}\.){1,8}\w{2,63}")
_IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
_CARD: Final = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d])")
_IP4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)")
_IP6: Final = re.compile(
    r"(?<![\w:])[0-9a-f]{0,4}:[0-9a-f:]{0,37}:[0-9a-f:]{0,37}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:]|\.\d)", re.IGNORECASE
)

Found = tuple[int, int, str]


def masked(text: str, regions: Sequence[str] = REGIONS) -> tuple[str, Counter[str]]:
    """The text with personal data replaced by `[EMAIL]`, `[IBAN]`, `[CARD]`, `[IP]` and `[PHONE]`, and how many.

    Args:
        text: any.
        regions: countries, as two letters, whose phone numbers are recognised without a leading +.

    Raises:
        InputError: there is no such country.
    """
    taken: list[Found] = []
    for finder in (_emails, _ibans, _cards, _addresses):
        _add(taken, finder(text))
    _add(taken, _phones(text, regions))
    counts = Counter(kind for _, _, kind in taken)
    for start, end, kind in sorted(taken, reverse=True):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text, counts


def _add(taken: list[Found], found: Iterator[Found]) -> None:
    for start, end, kind in found:
        if all(end <= other or stop <= start for other, stop, _ in taken):
            taken.append((start, end, kind))


def _emails(text: str) -> Iterator[Found]:
    return ((one.start(), one.end(), "EMAIL") for one in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[Found]:
    from stdnum import iban

    at = 0
    while one := _IBAN.search(text, at):
        ends = range(one.end(), one.start() + 14, -1)  # what follows may look like more of it
        fitting = (end for end in ends if text[end - 1].isalnum() and iban.is_valid(text[one.start() : end]))
        end = next(fitting, None)
        if end is not None:
            yield one.start(), end, "IBAN"
        at = end or one.start() + 2


def _cards(text: str) -> Iterator[Found]:
    from stdnum import luhn

    yield from _valid(_CARD, text, "CARD", lambda one: bool(luhn.is_valid(one.replace(" ", "").replace("-", ""))))


def _addresses(text: str) -> Iterator[Found]:
    yield from _valid(_IP6, text, "IP", lambda one: any(map(str.isdigit, one)) and _is_address(one))
    yield from _valid(_IP4, text, "IP", _is_address)  # one that ends a longer address was taken with it


def _phones(text: str, regions: Sequence[str]) -> Iterator[Found]:
    import phonenumbers

    for region in (None, *regions):
        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise InputError(
                f"{region!r} is no country with phone numbers; give two letters such as US or JP", field="region"
            )
        for one in phonenumbers.PhoneNumberMatcher(text, region):
            yield one.start, one.end, "PHONE"


def _valid(form: re.Pattern[str], text: str, kind: str, valid: Callable[[str], bool]) -> Iterator[Found]:
    return ((one.start(), one.end(), kind) for one in form.finditer(text) if valid(one.group()))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
