"""Reading files of examples: formats, encodings, and what columns are taken for. No database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.importing import formats, mapping
from apps.evals.importing.building import Built, build
from apps.evals.importing.found import BadFile, Problem, Record


def pieces(data: bytes, size: int = 5) -> list[bytes]:
    """The bytes in small pieces, so that every seam is met."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def read(data: bytes, name: str = "", encoding: str = "auto", size: int = 5) -> list[Record | Problem]:
    """The rows of the file."""
    form, found, source = formats.look_at(pieces(data, size), filename=name, declared_encoding=encoding)
    return list(formats.records(source, format=form, encoding=found))


def built(data: bytes, name: str) -> Built:
    """The first example of the file, by the mapping that is guessed."""
    rows = [row for row in read(data, name) if isinstance(row, Record)]
    return build(rows[0], mapping.guess([row.values for row in rows]), is_table=name.endswith("sv"))


@pytest.mark.parametrize(
    ("data", "name", "encoding"),
    [
        ('question,answer\r\n"a, ""é""\r\nb",x\r\n'.encode(), "a.csv", "auto"),
        ('\ufeffquestion;answer\n"a, ""é""\r\nb";x'.encode(), "a.csv", "auto"),
        ('question\tanswer\n"a, ""é""\r\nb"\tx\n'.encode("utf-16"), "a.tsv", "auto"),
        ('question\tanswer\n"a, ""é""\r\nb"\tx\n'.encode("utf-16-le"), "a.tsv", "utf-16"),
        ('question|answer\n"a, ""é""\r\nb"|x\n'.encode("latin-1"), "a.csv", "latin-1"),
        (json.dumps([{"question": 'a, "é"\r\nb', "answer": "x"}]).encode(), "a.json", "auto"),
        (
            json.dumps({"n": [1], "examples": [{"question": 'a, "é"\r\nb', "answer": "x"}]}, indent=1).encode(),
            "",
            "auto",
        ),
        (json.dumps({"question": 'a, "é"\r\nb', "answer": "x"}).encode() + b"\n\n", "a.json", "auto"),
    ],
)
def test_reads_the_same_of_every_format_and_encoding(data: bytes, name: str, encoding: str) -> None:
    """Quotes, delimiters, marks, line ends and seams between pieces change nothing."""
    assert [(row.row, dict(row.values)) for row in read(data, name, encoding) if isinstance(row, Record)] == [
        (1, {"question": 'a, "é"\r\nb', "answer": "x"})
    ]


@pytest.mark.parametrize(
    ("row", "name", "expected"),
    [
        ({"id": "1", "input": {"q": "x"}, "expectedOutput": "y", "metadata": {"a": 1}, "createdAt": "z"},
         "langfuse.jsonl",
         ({"q": "x"}, None, "y", {"a": 1}, "1")),
        ({"id": "1", "inputs": {"q": "x"}, "outputs": {"answer": "y"}, "dataset_id": "d"}, "langsmith.jsonl",
         ({"q": "x"}, None, "y", {}, "1")),
        ({"example_id": "1", "input": {"q": "x"}, "output": {"output": "y"}}, "phoenix.jsonl",
         ({"q": "x"}, None, "y", {}, "1")),
        ({"input": [{"role": "user", "content": "x"}], "ideal": ["y", "z"]}, "openai.jsonl",
         ({}, "x", ["y", "z"], {}, "")),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "tuning.jsonl",
         ({}, "x", "y", {}, "")),
        ({"item": {"question": "x", "answer": "y"}}, "items.jsonl", ({"question": "x"}, None, "y", {}, "")),
        ({"one": "x", "two": "y"}, "unknown.jsonl", ({"one": "x", "two": "y"}, None, None, {}, "")),
    ],
)  # fmt: skip
def test_knows_exports_of_other_tools(row: dict[str, Any], name: str, expected: tuple[Any, ...]) -> None:
    """Input, expected output, metadata and key end where they belong."""
    found = built(json.dumps(row).encode(), name)
    asked = None if found.body.messages is None else found.body.messages[0]["content"]
    assert (found.body.variables, asked, found.body.expected, found.body.metadata, found.key) == expected


def test_knows_tables_of_promptfoo_and_cells_of_json() -> None:
    """Columns without underscores are variables; cells that hold JSON are read where it belongs."""
    found = built(b"city,__expected,__description\nParis,contains: Eiffel,a note\n", "promptfoo.csv")
    assert (found.body.variables, found.body.expected, found.note) == ({"city": "Paris"}, "contains: Eiffel", "a note")
    table = b'inputs.q,outputs,contexts,tags\n{"a": [1]},"{""time"": ""now""}","[""one"", ""two""]",x;y\n'
    found = built(table.replace(b'{"a": [1]}', b'"{""a"": [1]}"'), "cells.csv")
    assert found.body.variables == {"q": {"a": [1]}}
    assert (found.body.expected, found.body.slices) == ({"time": "now"}, ("x", "y"))
    assert [one["content"] for one in found.body.context] == ["one", "two"]


def test_keeps_good_rows_beside_broken_ones() -> None:
    """Broken UTF-8, open quotes, too many cells, an item that is too long, an array that ends too early."""
    found = read(b'question,answer\nok,1\nh\xe9,2\na,b,c\n"q"x,3\nfine,4\n', "a.csv")
    codes = [row.code if isinstance(row, Problem) else row.values["question"] for row in found]
    assert codes == ["ok", "not_utf8", "too_many_cells", "not_csv", "fine"]
    long = b'[{"q": "' + b"x" * (9 * 1024 * 1024) + b'"}, {"q": "' + b"y" * (5 * 1024 * 1024) + b'"}, {"q": "z'
    found = read(long, "a.json", size=64 * 1024)
    assert [getattr(row, "code", "taken") for row in found] == ["too_large", "taken", "cut_off"]
    with pytest.raises(BadFile, match="gzip"):
        read(b"\x1f\x8b\x08rest", "a.jsonl")
    with pytest.raises(BadFile, match="called 'a'"):
        read(b"a,a\n1,2\n", "a.csv")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(['q"', "ä[", "z\\"]), values, min_size=1), min_size=1), st.integers(1, 40)
)
def test_cuts_arrays_where_json_does(rows: list[dict[str, Any]], size: int) -> None:
    """Whatever stands in the items, and wherever the pieces end, the rows are those that a JSON parser finds."""
    data = json.dumps({"meta": {"examples": 1}, "examples": rows}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = list(formats.records(pieces(data, size), format=formats.Format.JSON, encoding="utf-8"))
    assert [dict(row.values) for row in found if isinstance(row, Record)] == rows
