"""Which format each file is in, which files make one prompt, and reading them all.

A file's ending decides where it can; `.prompt`, `.yaml` and `.json` are looked into. Nothing is opened that is not
among the files: a reference can only name one of them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from apps.prompts.files import (
    dotprompt,
    front_matter,
    github_models,
    hub,
    langfuse,
    openai_prompts,
    own,
    plain,
    prompt_md,
    prompty,
    semantic_kernel,
    yaml_text,
)
from apps.prompts.files.building import Files, json_of, name_from, text_of
from apps.prompts.files.found import Found, Note, Reading, Refused
from apps.prompts.files.problems import BadFile
from apps.prompts.files.records import records
from apps.prompts.files.templates import unpinned_names
from apps.prompts.names import good_name
from apps.prompts.types import Syntax

MAX_FILES = 500
MAX_EXPORT = 5 * 1024 * 1024
MAX_TOTAL = 5 * 1024 * 1024
EXPORTS = (".json", ".jsonl", ".ndjson", ".csv")
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")
NOT_PROMPTS = re.compile(r"(readme|license|licence|changelog|contributing|notice)(\.|$)", re.IGNORECASE)
OWN_ONLY = frozenset({"kind", "syntax", "variables", "parameters", "response_schema", "owner", "version"})
KINDS = (
    "our own .prompt.yaml, .prompty, .prompt (dotprompt), GitHub Models .prompt.yml, .prompt.md, prompt hub .yaml, "
    "skprompt.txt with config.json, .txt, .jinja2, and exports of Langfuse or OpenAI as .json, .jsonl or .csv"
)

Reader = Callable[[Files, str], list[Found]]


def read_all(files: Mapping[str, bytes]) -> Reading:
    """Every prompt in the files, and every file that is none, with the reason. Never raises BadFile."""
    if len(files) > MAX_FILES or sum(len(raw) for raw in files.values()) > MAX_TOTAL:
        sentence = f"At most {MAX_FILES} files and {MAX_TOTAL // 1024 // 1024} MiB at once. Import them in parts."
        return Reading(refused=(Refused("", sentence),))
    clean, refused = _clean(files)
    found: list[Found] = []
    used: set[str] = set()
    for reader, paths in _in_order(clean):
        for path in paths:
            if path in used:
                continue
            try:
                read = reader(clean, path)
            except BadFile as error:
                used |= {path, error.path or path}
                refused.append(Refused(error.path or path, error.sentence, error.line, error.column))
                continue
            found += read
            used |= {path, *(one for prompt in read for one in prompt.paths)}
    found = _in_one_language(clean, found)
    for path in sorted(set(clean) - used):
        refused.append(_unread(clean, path))
    return Reading(tuple(found), tuple(refused))


def _clean(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[Refused]]:
    """The files under tidy paths, without those that cannot be text of a bearable size."""
    clean: dict[str, bytes] = {}
    refused = []
    for given, raw in files.items():
        path = posixpath.normpath(given.replace("\\", "/").replace("\x00", "")).lstrip("/")
        if path.startswith("../") or path in ("..", ".", ""):
            refused.append(Refused(given[:200], "This path leads out of the folder. Give a path inside it."))
        elif path in clean:
            refused.append(Refused(path, "Another file has this path. Rename one of them."))
        elif raw.startswith(ARCHIVES):
            refused.append(Refused(path, "Archives are not opened. Unpack it and choose the files."))
        elif raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            refused.append(Refused(path, "This file is UTF-16. Save it as UTF-8 and try again."))
        elif b"\x00" in raw:
            refused.append(Refused(path, "This is not a text file."))
        elif len(raw) > (MAX_EXPORT if path.lower().endswith(EXPORTS) else yaml_text.MAX_CHARACTERS):
            limit = "5 MiB" if path.lower().endswith(EXPORTS) else "256 KiB"
            refused.append(Refused(path, f"The file is larger than {limit}."))
        else:
            clean[path] = raw
    return clean, refused


def _in_order(files: Files) -> list[tuple[Reader, list[str]]]:
    """Readers with their files. Formats of several files come first, so that they take what belongs to them."""
    names = sorted(files)
    taken: set[str] = set()

    def having(wanted: Callable[[str], bool]) -> list[str]:
        chosen = [name for name in names if name not in taken and wanted(name.lower())]
        taken.update(chosen)
        return chosen

    plain_files = (*plain.JINJA, ".mustache", ".txt", ".md")
    return [
        (_one(semantic_kernel.read), having(lambda name: posixpath.basename(name) == semantic_kernel.PROMPT)),
        (_one(prompty.read), having(lambda name: name.endswith(".prompty"))),
        (_one(prompt_md.read), having(lambda name: name.endswith(".prompt.md"))),
        (_yaml, having(lambda name: name.endswith((".yaml", ".yml")))),
        (_prompt, having(lambda name: name.endswith(".prompt"))),
        (_export, having(lambda name: name.endswith(EXPORTS) and posixpath.basename(name) != semantic_kernel.CONFIG)),
        (_plain, having(lambda name: name.endswith(plain_files) and not NOT_PROMPTS.match(posixpath.basename(name)))),
    ]


def _in_one_language(files: Files, found: list[Found]) -> list[Found]:
    """Where a dotprompt had to become Jinja, those that share snippets with each other do, too: both sides need it."""
    includes = {
        one.paths: {name for message in one.content.messages for name in unpinned_names(message.content)}
        for one in found
        if one.format == dotprompt.NAME
    }
    shared = set().union(*includes.values())
    ours = [one for one in found if one.paths in includes and (one.name in shared or includes[one.paths])]
    if {one.content.syntax for one in ours} != {Syntax.MUSTACHE, Syntax.JINJA}:
        return found
    return [dotprompt.read(files, one.paths[0], prefers=Syntax.JINJA) if one in ours else one for one in found]


def _one(read: Callable[[Files, str], Found]) -> Reader:
    return lambda files, path: [read(files, path)]


def read_own(files: Files, path: str) -> Found:
    """A prompt in our own format. Raises BadFile."""
    text = text_of(files, path)
    by_path = own.name_of(path)
    prompt = own.read(text, default_name=good_name(name_from(by_path, *github_models.ENDINGS)))
    notes = []
    if path.endswith(own.ENDINGS) and posixpath.basename(by_path) != posixpath.basename(prompt.name):
        notes.append(Note(f"Its name is {prompt.name}, whatever the file is called.", path))
    return Found(
        name=prompt.name,
        content=prompt.content,
        format="Prompt file",
        paths=(path,),
        version=prompt.version,
        description=prompt.description,
        tags=prompt.tags,
        owner=prompt.owner,
        source_text=text,
        notes=tuple(notes),
    )


def _yaml(files: Files, path: str) -> list[Found]:
    """Own, GitHub's or a hub's, by the keys at the top."""
    root = yaml_text.mapping(text_of(files, path).removeprefix("\ufeff"))
    keys = set(root.entries)
    if keys & github_models.KEYS or ("messages" in keys and not keys & OWN_ONLY and not _has_good_name(root)):
        return [github_models.read(files, path)]
    is_ours = path.lower().endswith(own.ENDINGS)
    if "messages" in keys or (is_ours and "text" in keys) or ("text" in keys and keys & (OWN_ONLY - {"version"})):
        return [read_own(files, path)]
    if keys & set(hub.TEXT_KEYS):
        return [hub.read(files, path)]
    if is_ours:
        return [read_own(files, path)]
    raise root.refuse("This YAML has neither 'messages' nor 'text', so it is no prompt.")


def _has_good_name(root: yaml_text.Node) -> bool:
    node = root.get("name")
    return node is not None and isinstance(node.value, str) and good_name(node.value) == node.value


def _prompt(files: Files, path: str) -> list[Found]:
    """`.prompt` is used by three formats: dotprompt, Prompty's sections, and plain YAML."""
    text = text_of(files, path)
    parts = front_matter.split(text)
    if not parts.has_head:
        if re.search(r"^messages:\s*$", text, re.MULTILINE) and "{{role" not in text:
            return _yaml(files, path)
        if prompty.ROLE.search(text) and not dotprompt.ROLE.search(text):
            return [prompty.read(files, path)]
        return [dotprompt.read(files, path)]
    if prompty.ROLE.search(parts.body) and not dotprompt.ROLE.search(parts.body):
        return [prompty.read(files, path)]
    return [dotprompt.read(files, path)]


def _export(files: Files, path: str) -> list[Found]:
    told = records(files, path, tuple(dict.fromkeys((*langfuse.WRAPPERS, *openai_prompts.WRAPPERS))))
    if told and all(langfuse.is_one(one) for one in told):
        return langfuse.read(files, path)
    if told and all(openai_prompts.is_one(one) for one in told):
        return openai_prompts.read(files, path)
    shapes = [langfuse.is_one(one) or openai_prompts.is_one(one) for one in told]
    if any(shapes):
        place = shapes.index(False) + 1 if False in shapes else 1
        raise BadFile(f"The object at place {place} is no prompt, or of another kind than the others.", path=path)
    raise BadFile("No prompts of Langfuse or OpenAI are in this file.", path=path)


def _plain(files: Files, path: str) -> list[Found]:
    """A text, or one file for each role of a conversation."""
    stem, role = plain.stem_and_role(path)
    if path.lower().endswith(".md") and front_matter.split(text_of(files, path)).has_head:
        return [prompt_md.read(files, path)]
    if role:
        others = [one for one in files if one.lower().endswith(plain.ENDINGS) and plain.stem_and_role(one)[0] == stem]
        group = sorted(one for one in others if plain.stem_and_role(one)[1])
        roles = [plain.stem_and_role(one)[1] for one in group]
        if len(set(roles)) == len(roles):
            return [plain.read(files, group)]
    return [plain.read(files, [path])]


def _unread(files: Files, path: str) -> Refused:
    """Why nothing read this file."""
    base = posixpath.basename(path)
    if base == semantic_kernel.CONFIG:
        try:
            told = json_of(text_of(files, path))
        except BadFile as error:
            return Refused(path, error.sentence, error.line, error.column)
        if isinstance(told, Mapping) and {"execution_settings", "input_variables", "completion", "schema"} & set(told):
            return Refused(path, f"Its text is missing: there is no {semantic_kernel.PROMPT} beside it.")
    if NOT_PROMPTS.match(base):
        return Refused(path, "This was taken for a page about the prompts, not for one of them.")
    return Refused(path, f"This kind of file is not read. Read are {KINDS}.")


def guess_path(text: str) -> str:
    """A file name whose ending says what format pasted text is in."""
    start = text.removeprefix("\ufeff").lstrip()
    if start.startswith(("{", "[")) and not start.startswith(("{{", "{%")):
        try:
            json_of(text)
        except BadFile:
            return "pasted.jsonl" if start.startswith("{") and "\n{" in start else "pasted.json"
        return "pasted.json"
    if start.startswith("---"):
        return "pasted.prompt"
    if re.search(r"^(messages|text|prompt_text)\s*:", text, re.MULTILINE):
        return "pasted.prompt.yaml"
    if prompty.ROLE.search(text):
        return "pasted.prompty"
    return "pasted.jinja2" if re.search(r"\{%-?\s*\w+", text) else "pasted.txt"
