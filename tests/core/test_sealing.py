"""Sealed texts open where they were sealed, and nowhere else."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from apps.core.sealing import CannotOpen, seal, unseal

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


@pytest.mark.parametrize("sealed", ["", "v1.", "v1.AAAA", "v2.AAAA", "v1.***", "plain text", "v1." + "A" * 80])
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
