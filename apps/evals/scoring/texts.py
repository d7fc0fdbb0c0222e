"""Scorers that compare texts: equal, equal after normalizing, containing, matching a pattern."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping

import regex

from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, expected_texts, expected_value
from apps.evals.scoring.bounds import Unreadable, canonical, read_json, shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Score, not_scored, scored, scorer_failed

PATTERN_SECONDS = 0.5
"""How long one pattern may search one output."""

CONTAINS_SECONDS = 3.0
"""How long all the texts may be looked for in one output."""

ARTICLES = regex.compile(r"\b(?:a|an|the)\b", regex.IGNORECASE)
_PUNCTUATION = regex.compile(r"[\p{P}\p{S}]+")
_BLANKS = regex.compile(r"\s+")


def normal_form(
    text: str,
    *,
    case: bool = True,
    blanks: bool = True,
    nfkc: bool = True,
    punctuation: bool = False,
    articles: bool = False,
) -> str:
    """A text in the form in which it is compared: what is true is leveled out, in the order NFKC, case, punctuation,
    English articles, blanks. Punctuation is taken out without a blank in its place, so that `don't` is `dont`."""
    if nfkc:
        text = unicodedata.normalize("NFKC", text)
    if case:
        text = text.casefold()
    if punctuation:
        text = _PUNCTUATION.sub("", text)
    if articles:
        text = ARTICLES.sub(" ", text)
    return _BLANKS.sub(" ", text).strip() if blanks else text


# --- exact -----------------------------------------------------------------------------------------------------------

EXACT_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field("strip", "Ignore blanks at both ends", FieldType.BOOLEAN, default=True),
)


def score_exact(case: Case, config: Config) -> Score:
    """1 when the output is one of the accepted answers, character for character. An expected object (or a list, when
    lists are not lists of accepted answers) is compared with the output as JSON."""
    value = expected_value(case, config)
    if isinstance(value, Score):
        return value
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and not config["accept_any"]):
        found = read_json(case.output)
        if isinstance(found, Unreadable):
            return scored(0.0, found.reason)
        same = canonical(found) == canonical(value)
        return scored(float(same), "Equal to the expected JSON." if same else "Other JSON than the expected.")
    texts = expected_texts(case, config, blank=True)
    if isinstance(texts, Score):
        return texts
    output = case.output.strip() if config["strip"] else case.output
    for text in texts:
        if output == (text.strip() if config["strip"] else text):
            return scored(1.0, f"Equal to {shown(text)}.")
    return scored(0.0, _other_than(texts, case.output))


def _other_than(texts: tuple[str, ...], output: str) -> str:
    wanted = shown(texts[0]) if len(texts) == 1 else f"one of {len(texts)} answers such as {shown(texts[0], 60)}"
    return f"Expected {wanted}, but the output is {shown(output) if output else 'empty'}."


# --- normalized ------------------------------------------------------------------------------------------------------

NORMALIZED_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field("case", "Ignore case", FieldType.BOOLEAN, default=True),
    Field("blanks", "Ignore differences of blanks", FieldType.BOOLEAN, default=True),
    Field("nfkc", "Level out forms of characters", FieldType.BOOLEAN, default=True, help="Unicode NFKC."),
    Field("punctuation", "Ignore punctuation", FieldType.BOOLEAN, default=True),
    Field("articles", "Ignore a, an and the", FieldType.BOOLEAN, default=False),
)


def score_normalized(case: Case, config: Config) -> Score:
    """1 when the output equals an accepted answer after both were leveled out as the settings say. An answer of which
    nothing is left, such as `?!` without punctuation, is compared as it stands."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    options = {name: bool(config[name]) for name in ("case", "blanks", "nfkc", "punctuation", "articles")}
    output = normal_form(case.output, **options)
    for text in texts:
        wanted = normal_form(text, **options)
        if (output == wanted) if wanted else (case.output.strip() == text.strip()):
            return scored(1.0, f"Equal to {shown(text)}, apart from what is ignored.")
    return scored(0.0, _other_than(texts, case.output))


# --- contains --------------------------------------------------------------------------------------------------------

CONTAINS_FIELDS = (
    Field("words", "Texts to look for", FieldType.LIST, default=(), help="One a line; none: the expected answers."),
    Field(
        "mode",
        "The output must contain",
        FieldType.CHOICE,
        default="any",
        choices=(("any", "Any of them"), ("all", "All of them"), ("none", "None of them")),
    ),
    Field("whole_words", "Whole words only", FieldType.BOOLEAN, default=True),
    Field("case", "Ignore case", FieldType.BOOLEAN, default=True),
    Field(
        "partial",
        "Count the share",
        FieldType.BOOLEAN,
        default=False,
        help="With all: the share of the texts that were found, instead of all or nothing.",
    ),
    EXPECTED_PATH,
)


def score_contains(case: Case, config: Config) -> Score:
    """Whether texts of the settings, or else the expected answers, are in the output: any, all or none of them."""
    wanted: tuple[str, ...] | Score = tuple(config["words"]) or expected_texts(case, config)
    if isinstance(wanted, Score):
        return wanted
    output = normal_form(case.output, case=bool(config["case"]))
    until = time.monotonic() + CONTAINS_SECONDS
    try:
        there = {text: _is_in(text, output, config, until) for text in wanted}
    except TimeoutError:
        return scorer_failed(f"Looking for {len(wanted)} texts in {len(output):,} characters takes too long.")
    found = [text for text, is_there in there.items() if is_there]
    missing = [text for text, is_there in there.items() if not is_there]
    if config["mode"] == "none":
        return scored(0.0, f"Contains {_some(found)}.") if found else scored(1.0, "Contains none of them.")
    if config["mode"] == "any":
        return scored(1.0, f"Contains {_some(found)}.") if found else scored(0.0, f"Does not contain {_some(missing)}.")
    if not missing:
        return scored(1.0, f"Contains {_some(found)}.")
    share = len(found) / len(there) if config["partial"] else 0.0
    return scored(share, f"{len(found)} of {len(there)} found; missing: {_some(missing)}.")


def _is_in(text: str, output: str, config: Config, until: float) -> bool:
    wanted = normal_form(text, case=bool(config["case"]))
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return has_phrase(output, wanted, seconds=left) if config["whole_words"] else wanted in output


def has_phrase(text: str, phrase: str, *, seconds: float = PATTERN_SECONDS) -> bool:
    """True when the phrase stands in the text and no letter or digit is beside it that would make it part of a word.
    Raises TimeoutError when looking for it takes longer than `seconds`."""
    if not phrase:
        return False
    before = r"(?<!\w)" if _is_word(phrase[0]) else ""
    after = r"(?!\w)" if _is_word(phrase[-1]) else ""
    return regex.search(f"{before}{regex.escape(phrase)}{after}", text, timeout=seconds) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(shown(text, 60) for text in texts[:3]) + more


# --- regex -----------------------------------------------------------------------------------------------------------

REGEX_FIELDS = (
    Field("pattern", "Pattern", default="", help="A regular expression; empty: the expected answer is one."),
    Field(
        "mode",
        "The output must",
        FieldType.CHOICE,
        default="search",
        choices=(
            ("search", "Have the pattern anywhere"),
            ("whole", "Match it as a whole"),
            ("absent", "Not have the pattern anywhere"),
        ),
    ),
    Field("ignore_case", "Ignore case", FieldType.BOOLEAN, default=False),
    Field("multiline", "^ and $ at every line", FieldType.BOOLEAN, default=False),
    Field("dot_all", "A dot matches line breaks too", FieldType.BOOLEAN, default=False),
    EXPECTED_PATH,
)


def _compile(pattern: str, config: Config) -> regex.Pattern[str]:
    flags = regex.V0
    flags |= regex.IGNORECASE if config["ignore_case"] else 0
    flags |= regex.MULTILINE if config["multiline"] else 0
    flags |= regex.DOTALL if config["dot_all"] else 0
    return regex.compile(pattern, flags)


def _check_pattern(settings: Settings, problems: Problems) -> None:
    try:
        _compile(settings["pattern"], settings)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        problems["pattern"] = [f"This is no regular expression: {error}."]


def score_regex(case: Case, config: Config) -> Score:
    """Whether a pattern matches the output, within half a second; a pattern that needs longer is an error of the scorer
    and neither a pass nor a fail."""
    pattern: str | Score = config["pattern"] or _expected_pattern(case, config)
    if isinstance(pattern, Score):
        return pattern
    try:
        compiled = _compile(pattern, config)
        look = compiled.fullmatch if config["mode"] == "whole" else compiled.search
        found = look(case.output.strip() if config["mode"] == "whole" else case.output, timeout=PATTERN_SECONDS)
    except TimeoutError:
        return scorer_failed(
            f"The pattern {shown(pattern)} ran longer than {PATTERN_SECONDS:g} s. Write it without nested repetitions."
        )
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        return scorer_failed(f"{shown(pattern)} is no regular expression: {error}.")
    if config["mode"] == "absent":
        return scored(0.0, f"Has {shown(found.group())}.") if found else scored(1.0, f"{shown(pattern)} is not in it.")
    if found:
        return scored(1.0, f"{shown(pattern)} matches {shown(found.group())}.")
    return scored(0.0, f"{shown(pattern)} does not match.")


def _expected_pattern(case: Case, config: Config) -> str | Score:
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    if len(texts[0]) > 2_000:
        return not_scored("The expected answer is too long for a pattern.")
    return texts[0]


KINDS = (
    ScorerKind(
        name="exact",
        title="Exact match",
        about="The output is the expected answer, or one of several, character for character.",
        group="text",
        fields=EXACT_FIELDS,
        read=config_reader(EXACT_FIELDS),
        score=score_exact,
        needs=frozenset({"expected"}),
    ),
    ScorerKind(
        name="normalized",
        title="Normalized match",
        about="The output is the expected answer apart from case, blanks, forms of characters and punctuation.",
        group="text",
        fields=NORMALIZED_FIELDS,
        read=config_reader(NORMALIZED_FIELDS),
        score=score_normalized,
        needs=frozenset({"expected"}),
    ),
    ScorerKind(
        name="contains",
        title="Contains",
        about="The output has any, all or none of some texts.",
        group="text",
        fields=CONTAINS_FIELDS,
        read=config_reader(CONTAINS_FIELDS),
        score=score_contains,
    ),
    ScorerKind(
        name="regex",
        title="Pattern",
        about="A regular expression matches the output, or does not. It has half a second.",
        group="text",
        fields=REGEX_FIELDS,
        read=config_reader(REGEX_FIELDS, check=_check_pattern),
        score=score_regex,
    ),
)
