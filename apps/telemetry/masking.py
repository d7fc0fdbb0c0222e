"""What is taken out of telemetry before it is stored: personal data, secrets, and whatever else a project names. Pure.

A project's rules become a `Masker`, which changes the items of a batch in place. What a rule finds is replaced by the
rule's name in brackets. Ready-made rules take time in proportion to the text. A rule of the project's own is a regular
expression that somebody wrote: it has a time limit, and a value that it does not get through in time is replaced
whole, so that nothing is stored unmasked and nobody's intake stops.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import regex

from apps.telemetry.texts import MAX_TEXT_CHARS, encode
from apps.telemetry.types import Batch, LogPart, Payload, Rejection, SpanRecord

MASKED = "masked"
"""The flag of a span in which something was replaced."""
TIMED_OUT_FLAG = "mask_timed_out"
TIMED_OUT = "[masked: rule timed out]"
UNREADABLE = "[masked: not readable]"

KINDS = ("key", "email", "card", "phone", "ip")
"""The ready-made rules, in the order in which they are tried."""

CAPTURE_ON, CAPTURE_HASHED, CAPTURE_OFF = "on", "hashed", "off"
CAPTURES = (CAPTURE_ON, CAPTURE_HASHED, CAPTURE_OFF)
"""Whether content is kept: as it is sent, as keyed digests (equal contents are seen to be equal), or not at all."""

SECONDS_PER_VALUE = 0.05
SECONDS_PER_WINDOW = 0.5
"""After a masker's own rules ran out of time for so long, values are replaced without trying, while it lasts."""

MAX_OWN_RULES = 20
MAX_PATTERN_CHARS = 500
RULE_NAME = re.compile(r"[a-z0-9][a-z0-9 _-]{0,31}")

LIMITS = {"name": 512, "error_message": 8_192, "label": 256}

encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode

# --- Secrets ------------------------------------------------------------------------------------------------------

SECRET_SIGN = re.compile("sk[-_]|pk-lf-|rk_|A(?:KIA|SIA|Iza)|gh[pousr]_|github_pat_|glpat-|xox|hf_|eyJ|pw_|earer |://")
"""How every secret begins that `SECRET` finds."""
SECRET = re.compile(
    r"""(?<![0-9A-Za-z])(?:
      sk-[0-9A-Za-z_-]{16,} | pk-lf-[0-9A-Za-z-]{16,} | [sr]k_(?:live|test)_[0-9A-Za-z]{10,}
    | (?:AKIA|ASIA)[0-9A-Z]{16}
    | gh[pousr]_[0-9A-Za-z]{20,} | github_pat_[0-9A-Za-z_]{20,} | glpat-[0-9A-Za-z_-]{16,}
    | xox[abeoprs]-[0-9A-Za-z-]{10,} | AIza[0-9A-Za-z_-]{35} | hf_[0-9A-Za-z]{20,}
    | pw_(?:ingest|read|gateway|admin)_(?:live|local)_[0-9A-Za-z]{20,}_[0-9A-Za-z]{4,}
    | eyJ[0-9A-Za-z_-]{8,}+\.[0-9A-Za-z_-]{8,}+(?:\.[0-9A-Za-z_-]*+)?
    )
    | (?<=earer\ )[0-9A-Za-z._~+/-]{16,}=*
    | (?<=://)[^\s/:@"'<>]{0,256}+:[^\s/@"'<>]{1,256}+(?=@)
    """,
    re.VERBOSE,
)
KEY_BEGIN = "-----BEGIN "
KEY_HEAD = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
SECRET_NAMES = frozenset({
    "password", "passwd", "secret", "client_secret", "api_key", "apikey", "x-api-key", "access_key", "secret_key",
    "private_key", "authorization", "access_token", "refresh_token", "id_token", "auth_token", "bearer_token",
    "cookie", "set-cookie",
})  # fmt: skip
"""Attributes whose value is a secret whatever it looks like, by the last part of their name."""

# --- People -------------------------------------------------------------------------------------------------------

EMAIL = re.compile(r"(?<![\w.+\-])[\w.+\-]++(?:@|%40)(?:[^\W_](?:[\w\-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}")
DIGITS = re.compile(r"[0-9](?:[ ().\-/\u00a0]{0,3}[0-9]){6}")
"""What every card and phone number has somewhere."""
RUN = re.compile(r"(?<![0-9])[+(]?[0-9][0-9 ().\-/\u00a0]{5,}+")
GROUP = re.compile(r"[0-9]+")
SMALLEST_GROUP = 3
"""Cards are written in groups of at least so many digits."""
PHONE = re.compile(
    r"""
      (?:\+|(?<![0-9.\-/])00)[1-9][0-9]{0,2}(?:[ .\-/\u00a0]{0,2}\(?[0-9]{1,5}\)?){2,6}
    | (?<![0-9.\-/])(?:1[ .\-])?(?:\([0-9]{3}\)[ ]?|[0-9]{3}[ .\-])[0-9]{3}[ .\-][0-9]{4}(?![0-9\-])
    | (?<![0-9.\-/])\(?0[0-9]{1,4}\)?[ /\-\u00a0][0-9]{2,}(?:[ \-/\u00a0]?[0-9]{2,}){0,4}
    | (?<![0-9.\-/])0[0-9]{9,11}(?![0-9.\-])
    """,
    re.VERBOSE,
)
PHONE_DIGITS = range(8, 16)
DATE = re.compile(r"[0-9]{1,2}[/\-. ][0-9]{1,2}[/\-. ][0-9]{2,4}")
IPV4_SIGN = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")
IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9])")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:.]{2,45}+(?![\w:])")

# --- Content ------------------------------------------------------------------------------------------------------

CONTENT_WORDS = frozenset({
    "answer", "arguments", "body", "choices", "completion", "completions", "content", "contents", "document",
    "documents", "history", "input", "inputs", "instruction", "instructions", "message", "messages", "object",
    "objects", "output", "outputs", "payload", "prompt", "prompts", "query", "question", "text", "texts", "thinking",
    "transcript",
})  # fmt: skip
"""Where content is not kept, neither are texts and structures in attributes with one of these words in their name,"""
CONTENT_ENDS = frozenset({"context", "data", "reasoning", "request", "response", "result", "results", "value"})
"""or with one of these at its end."""
LONGEST_PLAIN = 200
"""Nor is any text longer than this, whatever its name."""
WORD = re.compile(r"[a-z]+")


class OwnRule(msgspec.Struct, frozen=True):
    """A regular expression of the project's own; what it finds becomes `[<name>]`."""

    name: str
    pattern: str


class Rules(msgspec.Struct, frozen=True):
    """What a project has masked."""

    kinds: tuple[str, ...] = ()
    own: tuple[OwnRule, ...] = ()
    capture: str = CAPTURE_ON
    hashes_users: bool = False


class BadRule(ValueError):
    """An own rule cannot be used; the sentence says why."""


class RuleTimedOut(Exception):
    """An own rule did not get through a value in time."""


def check_rule(rule: OwnRule) -> None:
    """Raise BadRule unless the rule can be used: its name, its pattern, and its time on texts that are hard."""
    if not RULE_NAME.fullmatch(rule.name):
        raise BadRule("A name has up to 32 small letters, digits, blanks, hyphens and underscores.")
    if not rule.pattern or len(rule.pattern) > MAX_PATTERN_CHARS:
        raise BadRule(f"A pattern has 1 to {MAX_PATTERN_CHARS} characters.")
    try:
        pattern = regex.compile(rule.pattern)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise BadRule(f"This is not a regular expression: {error}.") from error
    try:
        if pattern.search("", timeout=SECONDS_PER_VALUE):
            raise BadRule("The pattern matches the empty text, so it would match everywhere.")
        for text in _hard_texts(rule.pattern):
            pattern.sub("", text, timeout=SECONDS_PER_VALUE)
    except TimeoutError as error:
        raise BadRule(
            "The pattern takes too long on some texts. Avoid a repetition within a repetition, such as (a+)+."
        ) from error


def _hard_texts(pattern: str) -> list[str]:
    """Texts on which patterns that go back and forth take their time: long runs of what a pattern may repeat, cut off
    by something that it may not."""
    letters = {char for char in pattern if char.isalnum()} | set("aA0x")
    signs = {char for char in pattern if not char.isalnum()} | set(" .-_@")
    runs = [char * 3_000 for char in sorted(letters | signs)]
    words = [(word * 3_000)[:3_000] for word in ("ab ", "aA0 ", "a.", "0-", "a@a.", "x1_", "0 ", "ab\n")]
    literal = regex.findall(r"[A-Za-z0-9]{2,}", pattern)
    words += [(word * 3_000)[:3_000] for word in literal[:10]]
    return [text + end for text in [*runs, *words] for end in ("", "!", "\n\u00a7")]


class Masker:
    """A project's rules, ready to be applied. Thread-safe. Made anew whenever the rules are read."""

    def __init__(self, rules: Rules, pepper: bytes) -> None:
        self.rules = rules
        self._pepper = pepper
        self._steps: list[Callable[[str], str]] = [step for kind, step in _STEPS.items() if kind in rules.kinds]
        self._own = [(regex.compile(rule.pattern), f"[{rule.name}]") for rule in rules.own]
        self._has_digits = bool({"card", "phone"} & {*rules.kinds})
        self._lost_seconds = 0.0

    @property
    def is_idle(self) -> bool:
        """True when nothing is ever changed."""
        rules = self.rules
        return not (rules.kinds or rules.own or rules.hashes_users or rules.capture != CAPTURE_ON)

    def apply(self, batch: Batch) -> None:
        """Mask the items of a batch in place, once, before it is stored."""
        if self.is_idle:
            return
        for span in batch.spans:
            self._span(span)
        for part in batch.logs:
            self._log(part)
        for score in batch.scores:
            self._score(score)
        batch.rejected = [self._rejection(item) for item in batch.rejected]

    def masked(self, text: str) -> str:
        """The text as it would be stored. Raises RuleTimedOut."""
        if self._own:
            text = self._own_rules(text)
        if self._may_match(text):
            for step in self._steps:
                text = step(text)
            if self._has_digits:
                text = self._numbers(text)
        return text

    def hashed_user(self, user_id: str) -> str:
        """The name under which the user is kept: always the same one for the same user of the project."""
        return f"u_{self._digest('user', user_id)}" if user_id else ""

    def hashed_content(self, text: str) -> str:
        """What is kept in place of a content: equal for equal contents of the project."""
        return f"[hashed {self._digest('content', text)}]"

    def _digest(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._pepper, message, hashlib.sha256).hexdigest()[:32]

    # --- Items ------------------------------------------------------------------------------------------------------

    def _span(self, span: SpanRecord) -> None:
        flags: set[str] = set()
        span.name = self._short("name", span.name, flags)
        span.error_message = self._short("error_message", span.error_message, flags)
        if span.payload is not None:
            self._payload(span, span.payload, flags)
        if self.rules.hashes_users:
            span.user_id = self.hashed_user(span.user_id)
        if flags:
            span.flags = sorted({*span.flags, *flags})

    def _short(self, field: str, text: str, flags: set[str]) -> str:
        return self._text(text, flags)[: LIMITS[field]] if text else text

    def _payload(self, span: SpanRecord, payload: Payload, flags: set[str]) -> None:
        if self.rules.capture == CAPTURE_ON:
            payload.input = self._content(payload.input, payload.input_is_json, flags)
            payload.output = self._content(payload.output, payload.output_is_json, flags)
            payload.documents = self._content(payload.documents, True, flags)
        else:
            self._without_content(payload, flags)
        if payload.attributes:
            payload.attributes = self._attributes(payload.attributes, span.user_id, flags)
        if payload.is_empty:
            span.payload = None

    def _without_content(self, payload: Payload, flags: set[str]) -> None:
        """Leave lengths, numbers and, where they are asked for, digests."""
        attributes: dict[str, Any] = _decoded(payload.attributes) if payload.attributes else {}
        for name in ("input", "output"):
            text: str | None = getattr(payload, name)
            if text is None:
                continue
            attributes[f"{name}_chars"] = len(text)
            setattr(payload, name, self.hashed_content(text) if self.rules.capture == CAPTURE_HASHED else None)
            setattr(payload, f"{name}_is_json", False)
            flags.add(MASKED)
        if payload.documents is not None:
            payload.documents = self._documents(_decoded(payload.documents))
            flags.add(MASKED)
        kept = {name: value for name, value in attributes.items() if not _is_content(name, value)}
        if len(kept) < len(attributes):
            flags.add(MASKED)
        payload.attributes = encode_sorted(kept).decode() if kept else None

    def _documents(self, documents: Any) -> str:
        """What a retriever brought, by its numbers, and by digests of its texts where they are asked for."""
        kept = [
            {name: self._number_or_digest(value) for name, value in document.items()}
            for document in documents
            if isinstance(document, dict)
        ]
        return encode_sorted([{n: v for n, v in document.items() if v is not None} for document in kept]).decode()

    def _number_or_digest(self, value: Any) -> Any:
        if isinstance(value, bool | int | float):
            return value
        if self.rules.capture == CAPTURE_HASHED and value is not None:
            return self.hashed_content(value if isinstance(value, str) else encode_sorted(value).decode())
        return None

    def _attributes(self, text: str, user_id: str, flags: set[str]) -> str:
        names_user = self.rules.hashes_users and user_id and _json_text(user_id) in text
        has_secret = "key" in self.rules.kinds and any(name in text.lower() for name in SECRET_NAMES)
        if not (names_user or has_secret):
            return self._content(text, True, flags) or text
        attributes = _decoded(text)
        if names_user:
            attributes = _exchanged(attributes, user_id, self.hashed_user(user_id))
        if has_secret:
            attributes = _without_secrets(attributes, flags)
        return self._json(encode_sorted(attributes).decode(), flags)

    def _log(self, part: LogPart) -> None:
        if self.rules.capture == CAPTURE_OFF:
            part.body = part.attributes = None
        elif self.rules.capture == CAPTURE_HASHED:
            part.body = _json_text(self.hashed_content(part.body)) if part.body is not None else None
            part.attributes = None
        else:
            part.body = self._content(part.body, True, set())
            if part.attributes:
                part.attributes = self._attributes(part.attributes, "", set())

    def _score(self, score: Any) -> None:
        if score.comment:
            score.comment = self._text(score.comment, set())
        if score.label:
            score.label = self._short("label", score.label, set())
        if self.rules.hashes_users and score.user_id:
            score.user_id = self.hashed_user(score.user_id)

    def _rejection(self, item: Rejection) -> Rejection:
        """What is kept of a refused item shows no more than a stored one would."""
        sample = item.sample if self.rules.capture == CAPTURE_ON and not self.rules.hashes_users else ""
        return msgspec.structs.replace(
            item, sample=self._text(sample, set()) if sample else "", message=self._text(item.message, set())
        )

    # --- Values -----------------------------------------------------------------------------------------------------

    def _content(self, text: str | None, is_json: bool, flags: set[str]) -> str | None:
        if not text or not (self._own or self._may_match(text)):
            return text
        return self._json(text, flags) if is_json else self._text(text, flags)

    def _text(self, text: str, flags: set[str]) -> str:
        try:
            masked = self.masked(text)
        except RuleTimedOut:
            flags |= {MASKED, TIMED_OUT_FLAG}
            return TIMED_OUT
        if masked == text:
            return text
        flags.add(MASKED)
        return masked[:MAX_TEXT_CHARS]

    def _json(self, text: str, flags: set[str]) -> str:
        """JSON with its texts masked, wherever they stand; what was cut and is JSON no more is masked as a text."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return self._text(text, flags)
        found: set[str] = set()
        value = self._deep(value, found)
        flags |= found
        try:
            return encode(value).decode() if found else text
        except (msgspec.EncodeError, OverflowError, RecursionError):
            return _json_text(UNREADABLE)

    def _deep(self, value: Any, flags: set[str]) -> Any:
        if isinstance(value, str):
            return self._text(value, flags) if value else value
        if isinstance(value, list):
            return [self._deep(item, flags) for item in value]
        if isinstance(value, dict):
            return _renamed((self._text(name, flags), self._deep(item, flags)) for name, item in value.items())
        if isinstance(value, int) and value > 10**12 and "card" in self.rules.kinds and _is_card(str(value)):
            flags.add(MASKED)
            return "[card]"
        return value

    # --- Finding ----------------------------------------------------------------------------------------------------

    def _may_match(self, text: str) -> bool:
        """Whether a ready-made rule could find something. Most texts hold nothing, and this says so in microseconds."""
        kinds = self.rules.kinds
        return bool(
            ("email" in kinds and ("@" in text or "%40" in text))
            or ("key" in kinds and (KEY_BEGIN in text or SECRET_SIGN.search(text)))
            or (self._has_digits and DIGITS.search(text))
            or ("ip" in kinds and (IPV4_SIGN.search(text) or _has_ipv6_sign(text)))
        )

    def _own_rules(self, text: str) -> str:
        """Raises RuleTimedOut when the rules together take too long, or did so often in the last seconds."""
        if self._lost_seconds > SECONDS_PER_WINDOW:
            raise RuleTimedOut
        deadline = time.monotonic() + SECONDS_PER_VALUE
        for pattern, replacement in self._own:
            left = deadline - time.monotonic()
            try:
                text = pattern.sub(replacement, text, timeout=max(left, 0.001), concurrent=True)
            except (TimeoutError, MemoryError, RecursionError) as error:
                self._lost_seconds += SECONDS_PER_VALUE
                raise RuleTimedOut from error
        return text

    def _numbers(self, text: str) -> str:
        """Cards and phones. They look alike, so every run of digits is looked at once, for cards first."""
        return RUN.sub(self._run, text) if DIGITS.search(text) else text

    def _run(self, found: re.Match[str]) -> str:
        run, start = found[0], found.start()
        if "card" in self.rules.kinds:
            run = _cards(run)
        # A phone number is not the tail of a word, which ids and versions are.
        if "phone" in self.rules.kinds and not (start and (found.string[start - 1].isalnum())):
            run = PHONE.sub(_phone, run)
        return run


def _secrets(text: str) -> str:
    if SECRET_SIGN.search(text):
        text = SECRET.sub("[key]", text)
    return _private_keys(text) if KEY_BEGIN in text else text


def _private_keys(text: str) -> str:
    """A block without its end is taken to go on to the end of the text."""
    parts, at = [], 0
    while head := KEY_HEAD.search(text, at):
        end = KEY_END.search(text, head.end())
        parts += [text[at : head.start()], "[key]"]
        at = end.end() if end else len(text)
    return "".join([*parts, text[at:]])


def _emails(text: str) -> str:
    return EMAIL.sub("[email]", text) if "@" in text or "%40" in text else text


def _addresses(text: str) -> str:
    if IPV4_SIGN.search(text):
        text = IPV4.sub(_address, text)
    return IPV6.sub(_address, text) if _has_ipv6_sign(text) else text


def _has_ipv6_sign(text: str) -> bool:
    return "::" in text or text.count(":") > 5


def _address(found: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return "[ip]"


_STEPS: dict[str, Callable[[str], str]] = {"key": _secrets, "email": _emails, "ip": _addresses}


def _phone(found: re.Match[str]) -> str:
    text = found[0]
    is_phone = sum(map(str.isdigit, text)) in PHONE_DIGITS and not DATE.fullmatch(text)
    return "[phone]" if is_phone else text


def _cards(run: str) -> str:
    """The run with every stretch of whole groups of digits replaced that is a card's number."""
    groups = [(group.start(), group.end()) for group in GROUP.finditer(run)]
    parts, at, first = [], 0, 0
    while first < len(groups):
        last = _last_of_card(run, groups, first)
        if last is None:
            first += 1
            continue
        parts += [run[at : groups[first][0]], "[card]"]
        at, first = groups[last][1], last + 1
    return "".join([*parts, run[at:]])


def _last_of_card(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    digits, found = "", None
    for number in range(first, len(groups)):
        start, end = groups[number]
        if number > first and start - groups[number - 1][1] != 1:
            break
        digits += run[start:end]
        if end - start < SMALLEST_GROUP or len(digits) > 19:
            break
        if _is_card(digits):
            found = number
    return found


def _is_card(digits: str) -> bool:
    """True for a number of a known brand's beginning and length whose Luhn sum is right."""
    return _has_brand(digits) and _luhn(digits) % 10 == 0


def _has_brand(digits: str) -> bool:
    length, start = len(digits), int(digits[:4]) if len(digits) >= 13 else 0
    return (
        (digits[:1] == "4" and length in (13, 16, 19))
        or (length == 16 and (5100 <= start < 5600 or 2221 <= start <= 2720 or 3528 <= start < 3590))
        or (length == 15 and start // 100 in (34, 37))
        or (length == 14 and (start // 100 in (36, 38, 39) or 3000 <= start < 3060))
        or (16 <= length <= 19 and start // 100 in (50, *range(56, 66)))
        or (16 <= length <= 19 and start // 100 == 81)
    )


def _luhn(digits: str) -> int:
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return sum(int(digit) for digit in digits[::-2]) + sum(two if two < 10 else two - 9 for two in doubled)


# --- JSON -----------------------------------------------------------------------------------------------------------


def _json_text(text: str) -> str:
    return encode(text).decode()


def _decoded(text: str) -> Any:
    return msgspec.json.decode(text)


def _renamed(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary of these items. Names that became the same are numbered, so that none is lost."""
    renamed: dict[str, Any] = {}
    for name, value in items:
        unique, number = name, 2
        while unique in renamed:
            unique, number = f"{name} {number}", number + 1
        renamed[unique] = value
    return renamed


def _exchanged(value: Any, old: str, new: str) -> Any:
    """The value with every text that is just the old one exchanged."""
    if isinstance(value, str):
        return new if value == old else value
    if isinstance(value, list):
        return [_exchanged(item, old, new) for item in value]
    if isinstance(value, dict):
        return {name: _exchanged(item, old, new) for name, item in value.items()}
    return value


def _without_secrets(value: Any, flags: set[str]) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item, flags) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        if isinstance(item, str) and item and name.lower().rpartition(".")[2] in SECRET_NAMES:
            flags.add(MASKED)
            kept[name] = "[key]"
        else:
            kept[name] = _without_secrets(item, flags)
    return kept


def _is_content(name: str, value: Any) -> bool:
    """Whether an attribute holds what was said to or by a model. Numbers never do."""
    if value is None or isinstance(value, bool | int | float):
        return False
    words = WORD.findall(name.lower())
    if not CONTENT_WORDS.isdisjoint(words) or not CONTENT_ENDS.isdisjoint(words[-1:]):
        return True
    return len(value if isinstance(value, str) else encode(value)) > LONGEST_PLAIN


NOTHING = Masker(Rules(), b"")
"""Of a project that has nothing masked."""
