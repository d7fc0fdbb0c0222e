"""The import pages: upload, look, confirm; and what nobody gets by uploading."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.accounts.models import User
from apps.core import clock
from apps.projects.models import Project, Role
from apps.prompts.models import Draft, ImportJob, Prompt, Version
from apps.prompts.services import imports
from tests import factories
from tests.conftest import page_client

pytestmark = pytest.mark.django_db

GOOD = "name: support/answer\nvariables:\n  q:\n    type: text\n    sample: Why so?\ntext: |\n  Answer {{q}}\n"
BROKEN = "name: half\ntext: |\n  {{#if x}}\n"


def address(project: Project) -> str:
    """The page with the form."""
    return reverse("prompt_import", kwargs={"project": project.slug})


def upload(user: User, project: Project, *files: tuple[str, str | bytes], **more: str) -> str:
    """Upload files; the address of their preview."""
    sent = [SimpleUploadedFile(name, raw.encode() if isinstance(raw, str) else raw) for name, raw in files]
    response = page_client(user).post(address(project), {"uploads": sent, **more})
    assert response.status_code == 302, response.content.decode()
    return str(response["Location"])


def test_files_are_looked_at_and_then_imported(alice: User, project: Project) -> None:
    url = upload(alice, project, ("answer.prompt.yaml", GOOD), ("half.prompt.yaml", BROKEN), ("bad.yaml", "a: ["))
    page = page_client(alice).get(url).content.decode()
    assert not Prompt.objects.exists()
    assert "Answer Why so?" in page
    assert "It can be a draft, and not a version yet:" in page
    assert "bad.yaml" in page
    done = page_client(alice).post(url, {"mode": "versions", "note": "From the repository", "step": ["0", "1"]})
    assert done["Location"] == url
    shown = page_client(alice).get(url).content.decode()
    assert "2 drafts and versions were made" in shown
    version = Version.objects.get()
    assert (str(version), version.note, version.author) == ("support/answer@1.0.0", "From the repository", alice)
    assert version.source_text == GOOD
    assert Draft.objects.get().prompt.name == "half"


def test_confirming_twice_imports_once(alice: User, project: Project) -> None:
    url = upload(alice, project, ("answer.prompt.yaml", GOOD))
    for _ in range(2):
        page_client(alice).post(url, {"mode": "versions", "step": ["0"]})
    assert Version.objects.count() == 1


def test_what_is_not_ticked_is_left_out_and_drafts_stay_drafts(alice: User, project: Project) -> None:
    url = upload(alice, project, ("a.txt", "One {{x}}"), ("b.txt", "Two"))
    page_client(alice).post(url, {"mode": "drafts", "step": ["1"]})
    assert [draft.prompt.name for draft in Draft.objects.all()] == ["b"]
    assert not Version.objects.exists()
    assert "You left it out." in page_client(alice).get(url).content.decode()


def test_pasted_text_with_a_name_or_a_guessed_one(alice: User, project: Project) -> None:
    response = page_client(alice).post(
        address(project), {"text": "system:\r\nBe kind.\r\n", "path": "kind words.prompty"}
    )
    page = page_client(alice).get(response["Location"]).content.decode()
    assert "kind-words" in page
    assert "became &#x27;kind-words&#x27;" in page
    response = page_client(alice).post(address(project), {"text": GOOD})
    assert "support/answer" in page_client(alice).get(response["Location"]).content.decode()


def test_says_what_is_here_already_and_what_conflicts(alice: User, project: Project) -> None:
    page_client(alice).post(upload(alice, project, ("a.prompt.yaml", GOOD)), {"mode": "versions", "step": ["0"]})
    changed = GOOD.replace("Answer {{", "Tell {{")
    page = page_client(alice).get(upload(alice, project, ("a.prompt.yaml", GOOD))).content.decode()
    assert "Version 1.0.0 says exactly this already." in page
    assert "There is nothing to import" in page
    page = page_client(alice).get(upload(alice, project, ("a.prompt.yaml", changed))).content.decode()
    assert "Version 1.0.1 of support/answer, after 1.0.0." in page
    url = upload(alice, project, ("a.prompt.yaml", changed), ("b.prompt.yaml", GOOD), ("c.txt", "Hi"))
    assert "defines the name support/answer, too." in page_client(alice).get(url).content.decode()
    page_client(alice).post(url, {"mode": "versions", "step": ["0"]})
    page = page_client(alice).get(url).content.decode()
    assert "b.prompt.yaml defines the name support/answer, too. Rename one, or leave one out." in page
    assert "One draft or version was made" in page


def test_two_uploads_of_one_name_are_kept_apart(alice: User, project: Project) -> None:
    page = page_client(alice).get(upload(alice, project, ("a.txt", "One"), ("a.txt", "Two"))).content.decode()
    assert "a-2.txt" in page


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("a.zip", b"PK\x03\x04", "Archives are not opened"),
        ("a.prompty", "Gr\xfc\xdfe".encode("latin-1"), "not UTF-8"),
        ("a.txt", b"x" * 300_000, "larger than 256 KiB"),
        ("<img src=x>.exe", b"x", "This kind of file is not read"),
    ],
)
def test_refuses_what_is_no_prompt_in_words(alice: User, project: Project, name: str, raw: bytes, words: str) -> None:
    page = page_client(alice).get(upload(alice, project, (name, raw))).content.decode()
    assert words in page
    assert "<img" not in page.split("Files that could not be read")[1].split("</section>")[0]


def test_asks_for_a_file_and_refuses_too_many(alice: User, project: Project) -> None:
    client = page_client(alice)
    response = client.post(address(project), {"text": "  "})
    assert response.status_code == 422
    assert "Choose a file, or paste a text." in response.content.decode()
    files = [SimpleUploadedFile(f"{number}.txt", b"x") for number in range(90)]
    assert client.post(address(project), {"uploads": files}).status_code == 302


def test_the_newest_uploads_are_kept(alice: User, project: Project) -> None:
    urls = [upload(alice, project, ("a.txt", f"Number {number}")) for number in range(imports.MOST_UPLOADS + 2)]
    assert ImportJob.objects.count() == imports.MOST_UPLOADS
    assert page_client(alice).get(urls[0]).status_code == 404
    assert page_client(alice).get(urls[-1]).status_code == 200


def test_an_upload_belongs_to_who_made_it_and_goes_after_a_day(alice: User, project: Project, bob: User) -> None:
    url = upload(alice, project, ("answer.prompt.yaml", GOOD))
    editor = factories.make_member(project, role=Role.EDITOR).user
    assert page_client(editor).get(address(project)).status_code == 200
    assert page_client(editor).get(url).status_code == 404
    assert page_client(bob).get(address(project)).status_code == 403
    job = ImportJob.objects.get()
    ImportJob.objects.update(created_at=clock.now() - timedelta(hours=25))
    assert page_client(alice).get(url).status_code == 404
    assert imports.forget_uploads(now=clock.now()) == 1
    assert not ImportJob.objects.filter(pk=job.pk).exists()
