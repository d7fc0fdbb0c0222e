"""The password rules, case by case."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import identify_hasher
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from pytest_django import Settings

from apps.accounts import passwords
from apps.accounts.models import User
from apps.projects.models import Project

GOOD = [
    "twelve chars",
    "correct horse battery staple",
    "x9$Qm" * 25 + "end?",  # 129 characters
    "混合文字の長いパスワード",
    "   spaces are part   ",
]
BAD = {
    "eleven char": "password_too_short",
    "123456789012": "password_too_simple",
    "passwordpassword": "password_too_common",
    "Password2026!!": "password_too_common",
    "qwertyqwerty12": "password_too_common",
    "aaaaaaaaaaaaaaaa": "password_too_simple",
    "abcabcabcabcabc": "password_too_simple",
    "210987654321098": "password_too_simple",
    "abcdefghijklmnop": "password_too_simple",
    "Prodworthy is nice": "password_context_word",
    "my PRODWORTHY pass": "password_context_word",
    "a grace hopper day": "password_context_word",
    "hopper12345678901": "password_context_word",
    "we at navyships run": "password_context_word",
    "support line three": "password_context_word",
    "x" * 1025: "password_too_long",
}


@pytest.fixture
def grace(project: Project, alice: User) -> User:
    """Somebody in the project Support desk, whose address and name give words."""
    user = User(email="grace.hopper@navyships.example", name="Grace")
    user.pk = alice.pk
    return user


@pytest.mark.parametrize("password", GOOD)
def test_takes_long_passwords_of_any_kind(grace: User, password: str) -> None:
    validate_password(password, user=grace)


@pytest.mark.parametrize("password", BAD)
def test_refuses_what_is_easy_to_guess(grace: User, password: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_password(password, user=grace)
    assert BAD[password] in {error.code for error in refused.value.error_list}


def test_says_which_word_to_leave_out() -> None:
    with pytest.raises(ValidationError, match="harbor"):
        passwords.refuse_context_words("the harbor at night", ["Harbor Desk 42"])
    passwords.refuse_context_words("a disk of 42 things", ["of a 42"])  # short words are no words


def test_hashes_with_argon2(settings: Settings, db: None) -> None:
    from llmops_site import settings as real

    settings.PASSWORD_HASHERS = real.PASSWORD_HASHERS
    user = User.objects.create_user("x@example.org", "a long sentence")
    assert identify_hasher(user.password).algorithm == "argon2"
    assert user.check_password("a long sentence")


@pytest.mark.parametrize("email", ["A@Example.ORG", " a@example.org ", "a@EXAMPLE.org"])
def test_knows_one_person_by_one_address(db: None, email: str) -> None:
    User.objects.create_user("a@example.org")
    assert User.objects.normalize_email(email) == "a@example.org"
