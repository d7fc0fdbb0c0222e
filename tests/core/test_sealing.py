"""Sealed texts open where they were sealed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from apps.core.sealing import CannotOpen, is_current, seal, unseal

PLACE = "providers_key:7:secret"


@pytest.mark.parametrize("text", ["", "sk-123", "Schlüssel \U0001f511", "x" * 10_000])
def test_opens_what_it_sealed(text: str) -> None:
    sealed = seal(text, place=PLACE)
    assert unseal(sealed, place=PLACE) == text
    assert text == "" or text not in sealed


def test_seals_the_same_text_differently_each_time() -> None:
    assert seal("same", place=PLACE) != seal("same", place=PLACE)


@pytest.mark.parametrize("place", ["providers_key:8:secret", "providers_key:7:note", ""])
def test_does_not_open_in_another_place(place: str) -> None:
    with pytest.raises(CannotOpen):
        unseal(seal("secret", place=PLACE), place=place)


@pytest.mark.parametrize(
    "sealed", ["", "v1.", "v1.AAAA", "v2.AAAA", "v1.***", "plain text", "v1." + "A" * 80, "v2.aaaaaaaa." + "A" * 80]
)
def test_refuses_what_was_never_sealed(sealed: str) -> None:
    with pytest.raises(CannotOpen):
        unseal(sealed, place=PLACE)


def test_notices_one_changed_character() -> None:
    sealed = seal("secret", place=PLACE)
    # The last digit before the padding holds bits that mean nothing.
    for index in range(len("v1."), len(sealed.rstrip("=")) - 1):
        other = "A" if sealed[index] != "A" else "B"
        with pytest.raises(CannotOpen):
            unseal(sealed[:index] + other + sealed[index + 1 :], place=PLACE)


def test_opens_nothing_under_another_key(settings: Settings) -> None:
    sealed = seal("secret", place=PLACE)
    settings.ENCRYPTION_KEY = "another key of at least thirty-two characters"
    with pytest.raises(CannotOpen):
        unseal(sealed, place=PLACE)


NEW_KEY = "a new key of at least thirty-two characters: 9f3kq"
CIPHERTEXT_OF_OLD = "v1."


def _sealed_as_before(text: str, *, place: str) -> str:
    """As it was sealed before sealed texts named their key."""
    key_id_and_body = seal(text, place=place).removeprefix("v2.")
    return CIPHERTEXT_OF_OLD + key_id_and_body.partition(".")[2]


def test_still_opens_what_does_not_name_its_key() -> None:
    assert unseal(_sealed_as_before("secret", place=PLACE), place=PLACE) == "secret"
    with pytest.raises(CannotOpen):
        unseal(_sealed_as_before("secret", place=PLACE), place="providers_key:8:secret")


@pytest.mark.parametrize("sealed_by", [seal, _sealed_as_before])
def test_opens_with_both_keys_while_they_are_exchanged(sealed_by: Callable[..., str], settings: Settings) -> None:
    old = settings.ENCRYPTION_KEY
    sealed = sealed_by("secret", place=PLACE)
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_OLD = NEW_KEY, old
    assert unseal(sealed, place=PLACE) == "secret"
    assert unseal(seal("new", place=PLACE), place=PLACE) == "new"
    assert not is_current(sealed)
    settings.ENCRYPTION_KEY_OLD = ""
    with pytest.raises(CannotOpen):
        unseal(sealed, place=PLACE)


def test_does_not_open_with_the_right_key_under_the_name_of_another(settings: Settings) -> None:
    sealed = seal("secret", place=PLACE)
    version, key_id, body = sealed.split(".")
    other = ("0" if key_id[0] != "0" else "1") + key_id[1:]
    with pytest.raises(CannotOpen):
        unseal(f"{version}.{other}.{body}", place=PLACE)
