"""Citations in an output: whether they point at documents of the context, how many sentences have one, whether they are
the expected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import regex

from apps.evals.scoring.bounds import as_text, at_path, shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed

LOOKED_AT = 200_000
PATTERN_SECONDS = 0.5
MAX_CITATIONS = 2_000

STYLES = {
    "brackets": r"\[\^?([^\[\]\n]{1,200})\](?!\()",
    "parentheses": r"\(([0-9]{1,4}(?:\s?[,;]\s?[0-9]{1,4}){0,20})\)",
    "lenticular": r"【([^【】\n]{1,200})】",
}

FIELDS = (
    Field(
        "measure",
        "Measure",
        FieldType.CHOICE,
        default="valid",
        choices=(
            ("valid", "Share of citations that point at a document"),
            ("coverage", "Share of sentences with such a citation"),
            ("precision", "Share of cited documents that are expected"),
            ("recall", "Share of expected documents that are cited"),
            ("f1", "F1 of these two"),
        ),
    ),
    Field(
        "style",
        "Citations look like",
        FieldType.CHOICE,
        default="brackets",
        choices=(
            ("brackets", "[1], [2, 3] or [id]"),
            ("parentheses", "(1)"),
            ("lenticular", "【1】"),
            ("own", "The pattern below"),
        ),
    ),
    Field("pattern", "Own pattern", default="", help="A regular expression; its first group is the number or the id."),
    Field(
        "by",
        "A citation names",
        FieldType.CHOICE,
        default="either",
        choices=(("either", "The number or the id"), ("number", "The number, from 1 on"), ("id", "The id")),
    ),
    Field(
        "expected_field",
        "Expected documents",
        default="citations",
        help="Where the expected answer, or else the metadata, has their ids; an expected list holds the ids itself.",
    ),
)

_SENTENCE_END = regex.compile(r"(?<=[.!?…][\"”’)]?)\s+(?=[\p{Lu}\p{N}\"“‘(\[【])|(?<=[。！？])|\n+")
_LIKE_AN_ID = regex.compile(r"\S*(?:\d|\w[-_.:/#]\w)\S*")
_WORD = regex.compile(r"\p{L}{2,}|[\p{Han}\p{Hiragana}\p{Katakana}]")


@dataclass(frozen=True, slots=True)
class Citation:
    """One citation: where it stands, what it says, and the document of the context that it names, or None."""

    start: int
    end: int
    written: str
    document: str | None


def _pattern(config: Config) -> regex.Pattern[str]:
    return regex.compile(config["pattern"] if config["style"] == "own" else STYLES[config["style"]])


def _check_pattern(settings: Settings, problems: Problems) -> None:
    if settings["style"] == "own" and not settings["pattern"]:
        problems["pattern"] = ["Give the pattern of a citation."]
        return
    try:
        _pattern(settings)
    except (regex.error, RecursionError, OverflowError) as error:
        problems["pattern"] = [f"This is no regular expression: {error}."]


def find_citations(text: str, documents: Sequence[str], config: Config) -> list[Citation]:
    """The citations of a text in their order, at most MAX_CITATIONS. Raises TimeoutError when the pattern takes too
    long. In brackets, what is no id of a document counts only when it looks like one, by a digit or a sign within it
    and no blank: `[sic]` is no citation, `[doc-z]` is one that names no document.
    """
    places = {str(number): document for number, document in enumerate(documents, start=1)}
    ids = {document: document for document in documents}
    names = {"number": places, "id": ids, "either": {**places, **ids}}[config["by"]]
    found: list[Citation] = []
    for match in _pattern(config).finditer(text, timeout=PATTERN_SECONDS):
        inner = match.group(1) if match.re.groups and match.group(1) is not None else match.group()
        for part in [inner.strip()] if inner.strip() in names else regex.split(r"\s*[,;]\s*", inner.strip()):
            written = part.strip().removeprefix("^")
            is_one = written in names or bool(_LIKE_AN_ID.fullmatch(written))
            if written and (is_one or config["style"] != "brackets"):
                found.append(Citation(match.start(), match.end(), written, names.get(written)))
        if len(found) >= MAX_CITATIONS:
            break
    return found


def sentences(text: str, citations: Sequence[Citation]) -> list[bool]:
    """For every sentence (with at least two words besides citations), whether it has a citation that names a document.
    One that follows the full stop belongs to the sentence before it."""
    cuts = [match.end() for match in _SENTENCE_END.finditer(text)]
    bounds = list(zip([0, *cuts], [*cuts, len(text)], strict=True))
    flags: list[bool] = []
    waiting = list(citations)
    for start, end in bounds:
        here = [citation for citation in waiting if citation.start < end]
        waiting = waiting[len(here) :]
        while here and not text[start : here[0].start].strip(" \t\n.,;"):
            first = here.pop(0)
            start = max(start, first.end)
            if flags and first.document is not None:
                flags[-1] = True
        if len(_WORD.findall(text, start, end)) >= 2:
            flags.append(any(citation.document is not None for citation in here))
    return flags


def _expected_ids(case: Case, config: Config) -> list[str] | None:
    for source in (case.expected, case.metadata):
        value: Json = source if isinstance(source, list | tuple) else None
        if value is None and isinstance(source, Mapping):
            _is_there, value = at_path(source, config["expected_field"])
        if isinstance(value, list | tuple):
            return list(dict.fromkeys(as_text(item) for item in value[:1_000]))
    return None


def score_citations(case: Case, config: Config) -> Score:
    """One measure of the citations of the output. Without documents there is nothing that could be cited."""
    documents = list(
        dict.fromkeys(
            as_text(document.get("id")) for document in case.context[:MAX_CITATIONS] if isinstance(document, Mapping)
        )
    )
    if not documents:
        return not_scored("The example has no context documents.")
    expected = _expected_ids(case, config)
    if config["measure"] in {"precision", "recall", "f1"} and not expected:
        return not_scored(f"Which documents should be cited is not said ({config['expected_field']}).")
    text = case.output[:LOOKED_AT]
    try:
        found = find_citations(text, documents, config)
    except TimeoutError:
        return scorer_failed(f"The pattern of citations ran longer than {PATTERN_SECONDS:g} s.")
    if config["measure"] == "coverage":
        flags = sentences(text, found)
        if not flags:
            return scored(0.0, "The output has no sentence.")
        return scored(sum(flags) / len(flags), f"{sum(flags)} of {len(flags)} sentences cite a document.")
    if config["measure"] == "valid":
        return _score_valid(found)
    return _score_expected(found, expected or [], config["measure"])


def _score_valid(found: Sequence[Citation]) -> Score:
    if not found:
        return scored(0.0, "The output cites nothing.")
    wrong = list(dict.fromkeys(citation.written for citation in found if citation.document is None))
    right = sum(citation.document is not None for citation in found)
    if not wrong:
        return scored(1.0, f"All {len(found)} citations name documents of the context.")
    named = ", ".join(shown(written, 40) for written in wrong[:5])
    return scored(right / len(found), f"{right} of {len(found)} citations name a document of the context; not {named}.")


def _score_expected(found: Sequence[Citation], expected: Sequence[str], measure: str) -> Score:
    cited = {citation.document or citation.written for citation in found}
    hits = cited & set(expected)
    precision = len(hits) / len(cited) if cited else 0.0
    recall = len(hits) / len(set(expected))
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    missing = [document for document in expected if document not in cited]
    reason = f"{len(hits)} of {len(cited)} cited are expected, {len(hits)} of {len(set(expected))} expected are cited"
    named = f"; missing: {', '.join(shown(document, 40) for document in missing[:5])}" if missing else ""
    value = {"precision": precision, "recall": recall, "f1": f1}[measure]
    return scored(value, f"{reason}{named}.", precision=precision, recall=recall, f1=f1)


KINDS = (
    ScorerKind(
        name="citations",
        title="Citations",
        about="The output cites documents that are there, sentence by sentence, or the expected ones.",
        group="retrieval",
        fields=FIELDS,
        read=config_reader(FIELDS, check=_check_pattern),
        score=score_citations,
        needs=frozenset({"context"}),
    ),
)
