"""Keys as text: a table of cases, no database."""

from __future__ import annotations

import pytest

from apps.projects import keys
from apps.projects.types import Scope

GOOD = "pw_ingest_live_" + "A" * 27
GOOD_KEY = f"{GOOD}_{keys.checksum(GOOD)}"


@pytest.mark.parametrize("kind", ["ingest", "read", "gateway", "admin"])
@pytest.mark.parametrize("place", ["live", "local"])
def test_makes_keys_that_it_accepts(kind: str, place: str) -> None:
    key = keys.make(kind=kind, place=place)
    assert keys.is_well_formed(key)
    assert key.startswith(f"pw_{kind}_{place}_")
    assert len(key.split("_")[3]) == 27  # of 62 characters: 160 bits


def test_makes_no_key_twice() -> None:
    assert len({keys.make(kind="ingest", place="live") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pw",
        "pw_",
        "Bearer",
        GOOD_KEY[:-1],
        GOOD_KEY + "0",
        GOOD_KEY.replace("pw_", "PW_"),
        GOOD_KEY.replace("ingest", "root"),
        GOOD_KEY.replace("live", "prod"),
        GOOD_KEY.replace("A", "B", 1),
        GOOD_KEY.replace("A", "À", 1),
        GOOD_KEY.replace("A", "-", 1),
        f" {GOOD_KEY}",
        f"{GOOD_KEY}\n",
        GOOD_KEY.replace("AA", "A\x00", 1),
        "pw_ingest_live_" + "A" * 100_000,
        "\udce4" * 50,
    ],
)
def test_turns_away_what_is_no_key(text: str) -> None:
    assert not keys.is_well_formed(text)


def test_finds_every_single_typing_error() -> None:
    for place in range(len("pw_ingest_live_"), len(GOOD_KEY)):
        wrong = "z" if GOOD_KEY[place] != "z" else "y"
        assert not keys.is_well_formed(GOOD_KEY[:place] + wrong + GOOD_KEY[place + 1 :]), place


def test_shows_no_more_than_eight_random_characters() -> None:
    key = keys.make(kind="gateway", place="local")
    prefix = keys.visible_prefix(key)
    assert prefix == f"pw_gateway_local_{key.split('_')[3][:8]}"
    assert len(prefix) <= 32


def test_hashes_under_the_pepper() -> None:
    one, other = keys.fingerprint(GOOD_KEY, pepper="a" * 32), keys.fingerprint(GOOD_KEY, pepper="b" * 32)
    assert len(one) == 32
    assert one != other
    assert keys.fingerprint("\udce4", pepper="a" * 32) != one


@pytest.mark.parametrize(
    ("scopes", "kind"),
    [
        ([Scope.INGEST], "ingest"),
        ([Scope.READ], "read"),
        ([Scope.INGEST, Scope.READ], "read"),
        ([Scope.PROMPTS_READ], "read"),
        ([Scope.GATEWAY, Scope.READ], "gateway"),
        ([Scope.EVALS], "admin"),
        ([Scope.PROMPTS_WRITE, Scope.GATEWAY], "admin"),
        ([Scope.PROMOTIONS], "admin"),
        (list(Scope), "admin"),
    ],
)
def test_names_a_key_after_the_most_it_can_do(scopes: list[Scope], kind: str) -> None:
    assert keys.kind_of(scopes) == kind


def test_is_blotted_out_of_logs() -> None:
    from apps.core.logs import SECRET_SHAPES

    for kind in ("ingest", "read", "gateway", "admin"):
        key = keys.make(kind=kind, place="local")
        assert key.split("_")[3] not in SECRET_SHAPES.sub("[secret]", f"got {key} from somebody")
