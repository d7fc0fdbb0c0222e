"""Reading LiteLLM's price file as data."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.providers import price_file
from apps.providers.price_file import PriceFileError
from apps.providers.pricing import Usage, cost_of
from apps.providers.rates import rates_from_json

CHAT = {"litellm_provider": "openai", "mode": "chat"}


def read_one(entry: dict[str, Any]) -> dict[str, Any]:
    """The price list made of one entry."""
    file = price_file.parse(json.dumps({"m": {**CHAT, **entry}}).encode())
    assert file.bad == ()
    return file.entries[0].rates


@pytest.mark.parametrize(
    ("entry", "rates"),
    [
        pytest.param({}, {}, id="listed without a price"),
        pytest.param(
            {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "max_tokens": 4096},
            {"input": "2.5", "output": "10"},
            id="per token becomes per million",
        ),
        pytest.param(
            {"input_cost_per_token": 5.0000000000000004e-08}, {"input": "0.050000000000000004"}, id="exactly as listed"
        ),
        pytest.param(
            {"input_cost_per_token": 0, "output_cost_per_token": 0.0}, {"input": "0", "output": "0"}, id="free"
        ),
        pytest.param(
            {
                "input_cost_per_token": 1e-06,
                "cache_read_input_token_cost": 1e-07,
                "cache_creation_input_token_cost": 1.25e-06,
                "cache_creation_input_token_cost_above_1hr": 2e-06,
                "output_cost_per_reasoning_token": 3e-06,
                "input_cost_per_audio_token": 4e-06,
                "output_cost_per_audio_token": 8e-06,
                "input_cost_per_request": 0.005,
            },
            {
                "input": "1",
                "cached_read": "0.1",
                "cache_write": "1.25",
                "cache_write_1h": "2",
                "reasoning": "3",
                "input_audio": "4",
                "output_audio": "8",
                "per_request": "0.005",
            },
            id="every class",
        ),
        pytest.param(
            {
                "input_cost_per_token": 1e-06,
                "input_cost_per_token_above_200k_tokens": 2e-06,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 4e-06,
                "output_cost_per_token_above_128k_tokens": 3e-06,
            },
            {
                "input": "1",
                "tiers": [
                    {"above": 128_000, "output": "3"},
                    {"above": 200_000, "input": "2", "cache_write_1h": "4"},
                ],
            },
            id="tiers in order",
        ),
        pytest.param(
            {
                "input_cost_per_token": 1e-06,
                "input_cost_per_token_batches": 5e-07,
                "output_cost_per_token_above_200k_tokens_priority": 9e-06,
                "input_cost_per_token_decisions": 7e-07,
            },
            {
                "input": "1",
                "plans": {
                    "batch": {"input": "0.5"},
                    "priority": {"tiers": [{"above": 200_000, "output": "9"}]},
                },
            },
            id="plans",
        ),
        pytest.param({"input_cost_per_token_priority": 1e-06}, {}, id="a plan without a standard price"),
        pytest.param(
            {"litellm_provider": "xai", "input_cost_per_token": 1e-06, "input_cost_per_token_above_200k_tokens": 2e-06},
            {"input": "1", "tiers": [{"above": 199_999, "input": "2"}]},
            id="a provider whose tier starts at the line",
        ),
        pytest.param(
            {
                "tiered_pricing": [
                    {"input_cost_per_token": 3e-07, "output_cost_per_token": 1e-06, "range": [0, 32000.0]},
                    {"input_cost_per_token": 5e-07, "output_cost_per_token": 2e-06, "range": [32000.0, 128000.0]},
                ]
            },
            {"input": "0.3", "output": "1", "tiers": [{"above": 32_000, "input": "0.5", "output": "2"}]},
            id="a table of ranges",
        ),
        pytest.param(
            {"input_cost_per_token": 1e-06, "input_cost_per_token_cache_hit": 1e-07},
            {"input": "1", "cached_read": "0.1"},
            id="the older word for cached",
        ),
        pytest.param(
            {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "input_cost_per_second": 0.01},
            {},
            id="tokens are free because seconds are paid",
        ),
        pytest.param(
            {
                "input_cost_per_token": 1e-06,
                "off_peak_pricing": {
                    "input_cost_per_token": 5e-07,
                    "hours_utc": "16:30-00:30",
                    "windows": [{"hours_utc": ["00:00-00:00"], "weekdays": [6, 7]}],
                    "weekday_timezone": "Asia/Shanghai",
                },
            },
            {
                "input": "1",
                "off_peak": {
                    "input": "0.5",
                    "windows": [
                        {"start": 0, "end": 0, "timezone": "Asia/Shanghai", "weekdays": [6, 7]},
                        {"start": 990, "end": 30, "timezone": "Asia/Shanghai"},
                    ],
                },
            },
            id="off-peak hours",
        ),
    ],
)
def test_makes_a_price_list_of_an_entry(entry: dict[str, Any], rates: dict[str, Any]) -> None:
    assert read_one(entry) == rates


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        None,
        {"mode": "chat"},
        {"mode": "chat", "litellm_provider": 5},
        {**CHAT, "input_cost_per_token": "2.5e-06"},
        {**CHAT, "input_cost_per_token": -1e-06},
        {**CHAT, "input_cost_per_token": True},
        {**CHAT, "input_cost_per_token": 2.5},
        {**CHAT, "input_cost_per_token": 1e-300},
        {**CHAT, "input_cost_per_token": float("nan")},
        {**CHAT, "input_cost_per_token": float("inf")},
        {**CHAT, "input_cost_per_request": -1},
        {**CHAT, "tiered_pricing": [{"range": [0], "input_cost_per_token": 1e-06}]},
        {**CHAT, "tiered_pricing": [{"range": [10, 20], "input_cost_per_token": 1e-06}]},
        {**CHAT, "tiered_pricing": [{"range": [0, 20], "output_cost_per_token": 1e-06}]},
        {**CHAT, "input_cost_per_token": 1e-06, "off_peak_pricing": 5},
        {**CHAT, "input_cost_per_token": 1e-06, "off_peak_pricing": {"hours_utc": "late"}},
        {**CHAT, "input_cost_per_token": 1e-06, "off_peak_pricing": {"windows": 5}},
        {
            **CHAT,
            "input_cost_per_token": 1e-06,
            "off_peak_pricing": {"windows": [{"hours_utc": "00:00-01:00", "weekdays": ["mon"]}]},
        },
    ],
)
def test_names_a_bad_entry_and_reads_its_neighbours(entry: Any) -> None:
    file = price_file.parse(json.dumps({"bad": entry, "good": {**CHAT, "input_cost_per_token": 1e-06}}).encode())

    assert [bad.model for bad in file.bad] == ["bad"]
    assert [entry.model for entry in file.entries] == ["good"]


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\x00b", "a\nb"])
def test_names_an_entry_without_a_usable_name(name: str) -> None:
    assert len(price_file.parse(json.dumps({name: CHAT}).encode()).bad) == 1


def test_two_names_that_differ_in_case_alone_are_not_both_read() -> None:
    file = price_file.parse(json.dumps({"M": CHAT, "m": CHAT}).encode())

    assert ([entry.model for entry in file.entries], [bad.model for bad in file.bad]) == (["M"], ["m"])


def test_leaves_out_the_example_and_what_is_not_text() -> None:
    file = price_file.parse(
        json.dumps({"sample_spec": {"mode": "one of"}, "dall-e": {**CHAT, "mode": "image_generation"}}).encode()
    )

    assert (file.entries, file.bad, file.not_by_token) == ((), (), 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"m": 1'])
def test_refuses_what_is_no_price_file(content: bytes) -> None:
    with pytest.raises(PriceFileError):
        price_file.parse(content)


def test_reads_a_gzipped_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json.gz"
    path.write_bytes(gzip.compress(b'{"m": 1}'))

    assert price_file.read(path) == b'{"m": 1}'


def test_refuses_a_file_that_is_missing_cut_or_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"x" * 1000)[:20])
    monkeypatch.setattr(price_file, "MAX_BYTES", 100)
    huge = tmp_path / "huge.gz"
    huge.write_bytes(gzip.compress(b"x" * 101))

    for path in (tmp_path / "nowhere", cut, huge):
        with pytest.raises(PriceFileError):
            price_file.read(path)


def test_the_installed_file_is_read_whole_and_exactly() -> None:
    """Against the file itself, by other arithmetic: a million tokens cost a million times the listed
    price."""
    content = price_file.read(price_file.installed_file().path)
    file = price_file.parse(content)
    raw = json.loads(content, parse_float=Decimal)

    assert file.bad == ()
    assert len(file.entries) > 3000
    compared = 0
    for entry in file.entries:
        listed = raw[entry.model]
        if "tiered_pricing" in listed or not entry.rates:
            continue
        cost = cost_of(Usage(1000, 0), rates_from_json(entry.rates))
        assert cost is not None
        assert cost.usd == 1000 * Decimal(listed["input_cost_per_token"]) + Decimal(
            listed.get("input_cost_per_request", 0)
        )
        compared += 1
    assert compared > 3000


def test_reading_the_installed_file_does_not_import_litellm() -> None:
    script = (
        "import sys; from apps.providers import price_file as f; f.parse(f.read(f.installed_file().path));"
        " sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False).returncode == 0
