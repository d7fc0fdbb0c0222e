"""Prompt files of others, with the oddities met in public repositories: what is carried over, and what is said."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from apps.prompts.content import Message, Variable
from apps.prompts.files import detect, guessing, handlebars, own, picoschema
from apps.prompts.files.building import Builder
from apps.prompts.files.found import Found, Reading
from apps.prompts.files.templates import UNPINNED
from apps.prompts.templating import rendering
from apps.prompts.types import Kind, Syntax, VariableType


def reading(files: Mapping[str, str | bytes]) -> Reading:
    """All that the files hold."""
    return detect.read_all({path: raw.encode() if isinstance(raw, str) else raw for path, raw in files.items()})


def only(files: Mapping[str, str | bytes]) -> Found:
    """The one prompt in the files, nothing refused."""
    read = reading(files)
    assert [str(one) for one in read.refused] == []
    (found,) = read.found
    return found


def refusal(files: Mapping[str, str | bytes]) -> str:
    """The one reason why nothing was read."""
    read = reading(files)
    assert read.found == ()
    (refused,) = read.refused
    return str(refused)


def said(found: Found) -> str:
    """All notes in one text."""
    return "\n".join(str(note) for note in found.notes)


def texts(found: Found) -> list[tuple[str, str]]:
    """Roles and contents."""
    return [(message.role, message.content) for message in found.content.messages]


def rendered(found: Found, values: dict[str, Any]) -> list[str]:
    """What the prompt says with these values."""
    return [message.content for message in rendering.render(found.content, values)]


# --- Prompty --------------------------------------------------------------------------------------------------------

PROMPTY = """\
---
name: Ticket reply
description: Answers a ticket from what was found
authors:
    - dana
model:
    api: chat
    configuration:
        type: azure_openai
        azure_deployment: small-chat
        api_key: ${env:SOME_KEY}
    parameters:
        max_tokens: 300
        tools: ${file:reply_tools.json}
sample:
    ticket: My parcel is late
    found:
        - "rules.md: parcels take a week"
    past_messages:
        - role: user
          content: "Hello"
---
system:
You answer tickets.
{% if found %}
Use these:
{% for one in found %}
- {{ one }}
{% endfor %}
{% endif %}

{% for message in past_messages %}
{{ message["role"] }}:
{{ message["content"] }}
{% endfor %}

user:
{{ ticket }}
"""
TOOLS = json.dumps([{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}])


def test_prompty_with_its_tool_file() -> None:
    found = only({"app/prompts/ticket_reply.prompty": PROMPTY, "app/prompts/reply_tools.json": TOOLS})
    assert found.name == "app/prompts/ticket_reply"
    assert found.description == "Ticket reply: Answers a ticket from what was found"
    assert found.paths == ("app/prompts/ticket_reply.prompty", "app/prompts/reply_tools.json")
    content = found.content
    assert (content.syntax, content.model, content.parameters) == (Syntax.JINJA, "small-chat", {"max_tokens": 300})
    assert [tool["function"]["name"] for tool in content.tools] == ["look_up"]
    assert [role for role, _ in texts(found)] == ["system", "placeholder", "user"]
    assert texts(found)[1:] == [("placeholder", "past_messages"), ("user", "{{ ticket }}")]
    assert content.variable("past_messages") == Variable(
        "past_messages", VariableType.MESSAGES, is_required=False, sample=[{"role": "user", "content": "Hello"}]
    )
    assert content.extra["authors"] == ["dana"]
    assert "${env:SOME_KEY}" in said(found)
    assert "connection" in said(found)


def test_prompty_after_a_blank_line_with_escaped_underscores_and_a_missing_file() -> None:
    text = "\n" + PROMPTY.replace("past_messages %}", r"past\_messages %}").replace(
        'message["role"]', r'message\["role"]'
    )
    found = only({"a.prompty": text})
    assert [role for role, _ in texts(found)] == ["system", "placeholder", "user"]
    assert "Backslashes" in said(found)
    assert "'reply_tools.json', which was not among the files" in said(found)
    assert found.content.tools == ()


@pytest.mark.parametrize("head", ["---\n---\n", "---\n\n---\n", ""])
def test_prompty_without_a_name_or_any_front_matter(head: str) -> None:
    found = only({"quick.prompty": f"{head}system:\nBe kind.\n"})
    assert (found.name, texts(found)) == ("quick", [("system", "Be kind.")])


def test_prompty_in_mustache_with_crlf_and_typed_inputs() -> None:
    text = """---
name: Greeting
template: mustache
inputs:
  first:
    type: string
    description: the first name
  last:
    type: string
    default: Doe
sample:
  first: Jane
  question: Why?
---
system:
You help {{first}} {{last}}.
{{! not shown }}

user:
{{question}}"""
    found = only({"g.prompty": text.replace("\n", "\r\n")})
    assert found.content.syntax is Syntax.MUSTACHE
    assert found.content.variables == (
        Variable("first", description="the first name", sample="Jane"),
        Variable("last", is_required=False, default="Doe"),
        Variable("question", sample="Why?"),
    )
    assert rendered(found, found.content.samples)[1] == "Why?"


def test_prompty_of_the_later_kind_with_threads_tools_and_metadata() -> None:
    text = """---
name: helper
metadata:
  tags: [one, two]
  version: "2.0"
  team: blue
model:
  id: big-1
  options: {temperature: 0.7}
tools:
  - name: weather
    kind: function
    description: The weather
    parameters:
      properties:
        - {name: place, kind: string, required: true}
  - {name: web, kind: bing_search}
inputSchema:
  properties:
    - {name: question, kind: string, default: Hello}
    - {name: talk, kind: thread}
outputs:
  answer: {type: string}
---
system:
Be kind.

{{talk}}

user:
{{question}}
"""
    found = only({"h.prompty": text})
    assert texts(found) == [("system", "Be kind."), ("placeholder", "talk"), ("user", "{{question}}")]
    assert found.tags == ("one", "two")
    assert found.content.tools[0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    }
    assert found.content.response_schema == {"type": "object", "properties": {"answer": {"type": "string"}}}
    assert "'bing_search'" in said(found)
    assert "'2.0' is not of the form 1.2.0" in said(found)


def test_prompty_whose_condition_spans_messages_stays_one_text() -> None:
    text = "---\nname: x\n---\nsystem:\nA\n{% if deep %}\nuser:\nB\n{% endif %}\n"
    found = only({"x.prompty": text})
    assert found.content.kind is Kind.TEXT
    assert "spans several messages" in said(found)


def test_prompty_with_an_unclosed_or_broken_front_matter_names_the_line() -> None:
    assert refusal({"a.prompty": "---\nname: x\nsystem:\nhi\n"}).startswith("a.prompty, line 1, column 1:")
    assert refusal({"a.prompty": "\n---\nname: x\nname: y\n---\nsystem:\nhi\n"}).startswith(
        "a.prompty, line 4, column 1:"
    )


# --- dotprompt ------------------------------------------------------------------------------------------------------

RECIPE = """\
---
model: openai/gpt-4o-mini
config:
  temperature: 0.3
  maxOutputTokens: 400
input:
  schema:
    food: string, what to cook
    ingredients?(array): string
    style?: string
  default:
    style: plain
output:
  format: json
  schema:
    title: string
    steps(array, in order):
      text: string
      minutes?: integer
    level(enum, how hard): [EASY, HARD]
    (*): any
---

{{role "system"}}
You cook.
{{#if style}}
In this style: {{style}}
{{else}}
Any style.
{{/if}}
{{role "user"}}
A recipe for {{food}}.
"""


def test_dotprompt_with_picoschema_and_conditions_as_mustache() -> None:
    found = only({"prompts/kitchen/recipe.prompt": RECIPE})
    content = found.content
    assert (found.name, content.syntax, content.model) == ("kitchen/recipe", Syntax.MUSTACHE, "openai/gpt-4o-mini")
    assert content.parameters == {"temperature": 0.3, "max_output_tokens": 400}
    assert content.variables == (
        Variable("food", description="what to cook"),
        Variable("ingredients", VariableType.LIST, is_required=False),
        Variable("style", is_required=False, default="plain"),
    )
    assert content.response_schema == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"text": {"type": "string"}, "minutes": {"type": "integer"}},
                    "required": ["text"],
                },
                "description": "in order",
            },
            "level": {"enum": ["EASY", "HARD"], "description": "how hard"},
        },
        "additionalProperties": True,
        "required": ["title", "steps", "level"],
    }
    assert (
        texts(found)[0][1]
        == "You cook.\n{{#style}}\nIn this style: {{style}}\n{{/style}}\n{{^style}}\nAny style.\n{{/style}}"
    )
    assert rendered(found, {"food": "soup", "style": "slow"}) == [
        "You cook.\nIn this style: slow\n",
        "A recipe for soup.",
    ]
    assert "Any style." in rendered(found, {"food": "soup", "style": ""})[0]


def test_a_condition_on_a_list_becomes_jinja() -> None:
    body = "Cook.\n{{#if ingredients}}\nWith:\n{{#each ingredients}}\n- {{this}}\n{{/each}}\n{{/if}}\nNow.\n"
    found = only({"r.prompt": RECIPE.split("{{role")[0] + body})
    assert found.content.syntax is Syntax.JINJA
    assert "Jinja" in said(found)
    values = {"food": "x", "ingredients": ["salt", "rice"]}
    assert rendered(found, values) == ["Cook.\nWith:\n- salt\n- rice\nNow."]
    assert rendered(found, {"food": "x"}) == ["Cook.\nNow."]


def test_variants_and_partials_are_prompts_of_their_own() -> None:
    files = {
        "prompts/recipe.robot.prompt": '---\nmodel: m\n---\n\n{{>style mood="odd"}}\nBEEP {{food}}\n',
        "prompts/_style.prompt": "{{#if mood}}\nBe {{mood}}.\n{{else}}\nBe kind.\n{{/if}}\n",
    }
    style, robot = sorted(reading(files).found, key=lambda one: one.name, reverse=True)
    assert (style.name, style.content.kind) == ("style", Kind.TEXT)
    assert (robot.name, robot.content.kind) == ("recipe.robot", Kind.TEXT)
    assert robot.content.text == f"\n{{{{> style@{UNPINNED}}}}}\nBEEP {{{{food}}}}".lstrip("\n")
    assert "variant 'robot' of 'recipe'" in said(robot)
    assert 'The values given to the include {{>style mood="odd"}} were left out' in said(robot)


def test_snippets_are_in_the_language_of_those_that_include_them() -> None:
    files = {
        "list.prompt": "{{>style}}\n{{#if names}}\nFor:\n{{#each names}}{{this}} {{/each}}\n{{/if}}\n",
        "_style.prompt": "{{#if mood}}Be {{mood}}.{{/if}}\n",
        "plain.prompt": "{{>style}} Hello {{name}}\n",
    }
    read = reading(files)
    assert {found.content.syntax for found in read.found} == {Syntax.JINJA}
    style = next(found for found in read.found if found.name == "style")
    assert style.content.text == "{% if mood %}Be {{ mood }}.{% endif %}"
    assert "goes together with one that had to" in said(style)


def test_media_history_tools_and_schemas_from_elsewhere() -> None:
    text = """---
input:
  schema:
    pictureUrl: string
output:
  schema: AnimalSchema
tools: [lookAround]
---
{{ role "system" }}
You see.
{{history}}
{{role "user"}}
What is it? {{media url=pictureUrl}}
"""
    found = only({"see.prompt": text})
    assert [role for role, _ in texts(found)] == ["system", "placeholder", "user"]
    assert texts(found)[2][1] == "What is it? {{pictureUrl}}"
    for words in ("line 13", "only its address", "AnimalSchema", "names that the program knows"):
        assert words in said(found)


def test_helpers_nobody_knows_are_kept_and_said() -> None:
    text = "---\nmodel: m\n---\nHello {{#if name}}{{upper name}}{{else}}you{{/if}}!\n"
    found = only({"hi.prompt": text})
    assert found.content.text == "Hello {{#if name}}{{upper name}}{{else}}you{{/if}}!"
    assert "{{upper name}} in line 4 cannot be said here" in said(found)
    assert rendering.check(found.content.text, Syntax.MUSTACHE)


def test_output_without_a_schema_is_kept() -> None:
    found = only({"v.prompt": "---\noutput:\n  summary: string\n---\nHello\n"})
    assert found.content.extra["output"] == {"summary": "string"}
    assert "summary" in said(found)


@pytest.mark.parametrize(
    ("source", "mustache"),
    [
        ("{{#each a}}{{this}}, {{/each}}", "{{#a}}{{.}}, {{/a}}"),
        ("{{#each a}}{{name}}{{else}}none{{/each}}", "{{#a}}{{name}}{{/a}}{{^a}}none{{/a}}"),
        ("{{#unless a}}x{{/unless}}", "{{^a}}x{{/a}}"),
        ("{{#if a}}x{{else if b}}y{{else}}z{{/if}}", "{{#a}}x{{/a}}{{^a}}{{#b}}y{{/b}}{{^b}}z{{/b}}{{/a}}"),
        ("{{#with a}}{{b}}{{/with}}", "{{#a}}{{b}}{{/a}}"),
        ("{{{a}}} {{&b}} {{c.d}}", "{{a}} {{b}} {{c.d}}"),
        ("a  {{~#if b~}}  c  {{~/if~}}  d", "a{{#b}}c{{/b}}d"),
        ("{{!-- {{x}} --}}a", "a"),
        ("{{^a}}x{{/a}}", "{{^a}}x{{/a}}"),
    ],
)
def test_handlebars_as_mustache(source: str, mustache: str) -> None:
    build = Builder("a.prompt", "dotprompt")
    assert handlebars.translated(source, build) == (Syntax.MUSTACHE, mustache)


@pytest.mark.parametrize(
    ("source", "jinja"),
    [
        (
            "{{#each a}}{{@index}}: {{name}} of {{../b}}{{/each}}",
            "{% for item in a %}{{ loop.index0 }}: {{ item.name }} of {{ b }}{% endfor %}",
        ),
        ('{{#ifEquals a "x"}}y{{/ifEquals}}', '{% if a == "x" %}y{% endif %}'),
        ("{{json a}}", "{{ a | tojson }}"),
        (
            "{{#each a}}{{#each b}}{{this}}{{@index}}{{/each}}{{/each}}",
            "{% for item in a %}{% for item2 in item.b %}{{ item2 }}{{ loop.index0 }}{% endfor %}{% endfor %}",
        ),
    ],
)
def test_handlebars_as_jinja(source: str, jinja: str) -> None:
    build = Builder("a.prompt", "dotprompt")
    assert handlebars.translated(source, build) == (Syntax.JINJA, jinja)


@pytest.mark.parametrize("source", ["{{#if a}}x", "{{/if}}", "{{#if a}}x{{/each}}", "{{else}}", "{{#if a}}" * 40])
def test_handlebars_that_does_not_close_is_kept(source: str) -> None:
    build = Builder("a.prompt", "dotprompt")
    assert handlebars.translated(source, build) == (Syntax.MUSTACHE, source)
    assert build.notes


def test_picoschema_takes_json_schema_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert picoschema.json_schema(schema) == schema
    with pytest.raises(picoschema.NotASchema):
        picoschema.json_schema("SomewhereElse")


# --- Several formats with one ending --------------------------------------------------------------------------------


def test_a_dot_prompt_file_can_be_three_things() -> None:
    assert only({"a.prompt": "---\nname: x\n---\nsystem:\nHi {{ name }}\n"}).format == "Prompty"
    assert only({"a.prompt": "---\nmodel: x\n---\nHi {{name}}\n"}).format == "dotprompt"
    assert (
        only({"a.prompt": "messages:\n- role: user\n  content: Hi {{name}}\nmodelParameters: {}\n"}).format
        == "GitHub Models"
    )
    assert only({"a.prompt": "Hi {{name}}\n"}).format == "dotprompt"


# --- GitHub Models --------------------------------------------------------------------------------------------------

GITHUB = """\
name: Shorten it
description: Makes texts short
model: openai/gpt-4o-mini
modelParameters:
  temperature: 0.5
  maxCompletionTokens: 100
messages:
  - role: system
    content: You shorten texts.
  - role: user
    content: |
      Shorten, as JSON like {"a": {}}:
      {{input}}
testData:
  - input: |
      A long text.
    expected: Text.
evaluators:
  - name: begins well
    string: {startsWith: T}
responseFormat: json_schema
jsonSchema: |
  {"name": "short", "schema": {"type": "object", "properties": {"text": {"type": "string"}}}}
"""


def test_github_models_keep_their_test_data() -> None:
    found = only({"shorten.prompt.yml": GITHUB})
    content = found.content
    assert (found.name, found.description) == ("shorten", "Makes texts short")
    assert content.parameters == {"temperature": 0.5, "max_completion_tokens": 100}
    assert content.variables == (Variable("input", sample="A long text.\n"),)
    assert content.response_schema == {"type": "object", "properties": {"text": {"type": "string"}}}
    assert content.extra["testData"][0]["expected"] == "Text."
    assert "The evaluators (1) were kept" in said(found)
    assert rendered(found, {"input": "abc"})[1].endswith("abc\n")


def test_ours_and_githubs_share_an_ending() -> None:
    ours = "name: support/answer\nkind: chat\nmessages:\n- role: user\n  content: Hi\n"
    assert only({"answer.prompt.yml": ours}).format == "Prompt file"
    assert (
        only({"a.prompt.yml": "name: A free title\nmessages:\n- role: user\n  content: Hi\n"}).format == "GitHub Models"
    )
    assert only({"a.prompt.yaml": "text: Hi\n"}).name == "a"


# --- Copilot --------------------------------------------------------------------------------------------------------


def test_copilot_prompt_files() -> None:
    text = """---
mode: 'agent'
description: 'Makes a request for changes'
tools: ['codebase', 'search']
---
# Make a request

Read `${workspaceFolder}/.github/template.md` and compare with ${input:branch:which branch}. Keep {{braces}}
and ${HOME}. See [the rules](../docs/rules.md).
"""
    found = only({"prompts/make request.prompt.md": text})
    assert (found.name, found.description) == ("make-request", "Makes a request for changes")
    assert found.content.kind is Kind.TEXT
    assert found.content.variable("branch") == Variable("branch", description="which branch")
    assert found.content.extra == {"mode": "agent", "tools": ["codebase", "search"]}
    assert found.content.syntax is Syntax.JINJA
    (shown,) = rendered(found, {"branch": "main", "workspaceFolder": "/w"})
    assert "`/w/.github/template.md` and compare with main. Keep {{braces}}\nand ${HOME}." in shown
    for words in ("'make request' became", "filled in by the editor", "links to other files", "names that only"):
        assert words in said(found)


# --- Prompt hub -----------------------------------------------------------------------------------------------------

HUB = """\
name: acme/answer-with-sources
text: |
  Answer from the documents only.
  {join(documents, delimiter=new_line, pattern='[$idx]: $content')}
  Question: {query}; Answer:
tags:
  - question-answering
description: Answers with sources
meta:
  authors:
    - acme
version: v0.1.1
"""


def test_hub_files_with_their_card() -> None:
    found = only({"prompts/acme-answer.yaml": HUB, "prompts/acme-answer.md": "## How to use it\n"})
    assert (found.name, found.version, found.tags) == ("acme/answer-with-sources", "0.1.1", ("question-answering",))
    assert "Question: {{query}}; Answer:\n" in found.content.text
    assert "{join(documents" in found.content.text
    assert found.content.extra == {"meta": {"authors": ["acme"]}, "card": "## How to use it\n"}
    assert "A function is called in line 2" in said(found)


def test_hub_files_under_their_older_key_and_with_a_space_in_the_name() -> None:
    found = only({"answer copy.yaml": 'prompt_text: |\n   Sum up: {documents}\nversion: "0.1"\n'})
    assert (found.name, found.version) == ("answer-copy", "")
    assert found.content.text == "Sum up: {{documents}}\n"
    assert "'answer copy' became 'answer-copy'" in said(found)


# --- Semantic Kernel ------------------------------------------------------------------------------------------------

CONFIG = json.dumps(
    {
        "schema": 1,
        "description": "Makes a joke",
        "execution_settings": {"default": {"max_tokens": 50, "temperature": 0.9}, "gpt-x": {"max_tokens": 9}},
        "input_variables": [{"name": "input", "description": "about what", "default": ""}, {"name": "style"}],
    }
)


def test_two_files_make_one_prompt() -> None:
    files = {"Fun/Joke/skprompt.txt": "JOKE ABOUT {{$input}} IN {{$style}}\n{{time.Date}} {{recall $input}}\n"}
    found = only({**files, "Fun/Joke/config.json": "\ufeff" + CONFIG})
    assert (found.name, found.paths) == ("Fun/Joke", ("Fun/Joke/skprompt.txt", "Fun/Joke/config.json"))
    shown = rendered(found, {"input": "cats", "style": "prose"})
    assert shown == ["JOKE ABOUT cats IN prose\n{{time.Date}} {{recall $input}}\n"]
    assert found.content.parameters == {"max_tokens": 50, "temperature": 0.9}
    assert found.content.variable("input") == Variable("input", is_required=False, description="about what")
    assert "{{recall $input}} calls a function" in said(found)
    assert "gpt-x" in said(found)


def test_half_of_the_two_files_is_said() -> None:
    assert "no config.json beside it" in said(only({"Joke/skprompt.txt": "Hi {{$input}}"}))
    assert "there is no skprompt.txt beside it" in refusal({"Joke/config.json": CONFIG})
    broken = refusal({"Joke/skprompt.txt": "Hi", "Joke/config.json": "{"})
    assert broken.startswith("Joke/config.json, line 1, column 2:")


# --- Text and Jinja -------------------------------------------------------------------------------------------------


def test_templates_without_settings() -> None:
    found = only({"utils/templates/judge_a.jinja2": "Judge {{ answer }}.\r\n"})
    assert (found.name, found.content.syntax, found.content.text) == (
        "utils/templates/judge_a",
        Syntax.JINJA,
        "Judge {{ answer }}.\n",
    )
    note = only({"note.txt": "Say {{word}}."})
    assert note.content.variables == (Variable("word"),)


@pytest.mark.parametrize(
    ("syntax", "text", "types"),
    [
        (Syntax.MUSTACHE, "{{x}}", "x text"),
        (Syntax.MUSTACHE, "{{#x}}so {{x}}{{/x}}", "x text?"),
        (Syntax.MUSTACHE, "{{#x}}- {{.}}{{/x}}", "x list?"),
        (Syntax.MUSTACHE, "{{#x}}- {{title}}{{/x}}", "x list?"),
        (Syntax.MUSTACHE, "{{#x}}yes{{/x}}{{^x}}no{{/x}}", "x boolean?"),
        (Syntax.MUSTACHE, "{{x.name}}", "x object"),
        (Syntax.JINJA, "{{ x }}", "x text"),
        (Syntax.JINJA, "{% for one in x %}{{ one }}{% endfor %}", "x list"),
        (Syntax.JINJA, "{% if x %}{% for a, b in x %}{{ a }}{% endfor %}{% endif %}", "x list?"),
        (Syntax.JINJA, "{% if x %}yes{% endif %}", "x boolean?"),
        (Syntax.JINJA, "{% if x %}{{ x }}{% endif %}", "x text?"),
        (Syntax.JINJA, "{{ x.name }} {{ x['b'] }}", "x object"),
        (Syntax.JINJA, "{{ x | default('a') }}", "x text?"),
    ],
)
def test_variables_are_guessed_from_their_use(syntax: Syntax, text: str, types: str) -> None:
    (variable,) = guessing.variables(["x"], [text], syntax)
    assert f"x {variable.type.value}{'' if variable.is_required else '?'}" == types


def test_one_file_for_each_role_makes_one_conversation() -> None:
    found = only({"p/answer.user.jinja2": "{{ question }}", "p/answer.system.jinja2": "Be kind."})
    assert (found.name, found.paths) == ("p/answer", ("p/answer.system.jinja2", "p/answer.user.jinja2"))
    assert texts(found) == [("system", "Be kind."), ("user", "{{ question }}")]
    assert only({"rewrite.user.txt": "{{question}}"}).name == "rewrite-user"


# --- Langfuse -------------------------------------------------------------------------------------------------------


def langfuse(**changes: Any) -> dict[str, Any]:
    """A prompt as Langfuse's API tells it."""
    told = {"name": "movie critic", "type": "text", "prompt": "As a {{level}} critic: {{movie}}?", "version": 1}
    return {**told, "labels": ["production", "latest"], "tags": ["movies"], "config": {}, **changes}


def test_langfuse_versions_in_their_order_with_labels_and_configuration() -> None:
    config = {"model": "gpt-4o", "temperature": 0.5, "maxTokens": 9, "supported_languages": ["en"]}
    listed = [
        langfuse(version=2, prompt="A {{level}} critic on {{movie}}", commitMessage="Shorter"),
        langfuse(labels=[], config=config),
    ]
    for text in (json.dumps(listed), json.dumps({"data": listed}), "\n".join(json.dumps(one) for one in listed)):
        path = "export.jsonl" if not text.startswith(("[", '{"data"')) else "export.json"
        read = reading({path: text})
        first, second = read.found
        assert (first.name, first.order, second.order) == ("movie-critic", 1, 2)
        assert (second.labels, second.change_note) == (("production", "latest"), "Shorter")
        assert (first.content.model, first.content.parameters) == ("gpt-4o", {"temperature": 0.5, "max_tokens": 9})
        assert first.content.extra == {"config": {"supported_languages": ["en"]}}
        assert "supported_languages was kept" in said(first)


def test_langfuse_conversations_with_placeholders_and_included_prompts() -> None:
    messages = [
        {"role": "system", "content": "@@@langfusePrompt:name=house rules|label=production@@@\nBe {{tone}}."},
        {"type": "placeholder", "name": "chat_history"},
        {"role": "user", "content": 'Answer as {{ "json" }}: {{question}}'},
    ]
    found = only({"x.json": json.dumps(langfuse(type="chat", prompt=messages))})
    assert found.content.syntax is Syntax.JINJA
    assert [role for role, _ in texts(found)] == ["system", "placeholder", "user"]
    assert texts(found)[0][1] == f'{{% include "house-rules@{UNPINNED}" %}}\nBe {{{{ tone }}}}.'
    assert "It includes 'house rules' (label production)" in said(found)


def test_langfuse_as_csv() -> None:
    out = io.StringIO()
    rows = csv.DictWriter(out, ["name", "version", "type", "prompt", "config", "labels", "tags"])
    rows.writeheader()
    chat = json.dumps([{"role": "user", "content": "Hi,\n{{name}}"}])
    rows.writerow({"name": "a", "version": "3", "type": "chat", "prompt": chat, "config": "{}", "labels": '["x"]'})
    found = only({"p.csv": "\ufeff" + out.getvalue()})
    assert (found.order, found.labels, texts(found)) == (3, ("x",), [("user", "Hi,\n{{name}}")])
    assert "line 3" in refusal({"p.csv": "name,type,prompt\na,text,b\nc,text\n"})


# --- OpenAI ---------------------------------------------------------------------------------------------------------


def openai(**changes: Any) -> dict[str, Any]:
    """A stored prompt as its dashboard shows it."""
    return {
        "id": "pmpt_123",
        "object": "prompt",
        "name": "Help desk",
        "version": "2",
        "model": "gpt-5.1",
        "instructions": "You help {{customer_name}}.",
        "messages": [{"role": "user", "content": [{"type": "input_text", "text": "About {{issue}}"}]}],
        "variables": {"customer_name": "Acme", "issue": {"type": "input_text", "default": "billing"}},
        "tools": [{"type": "function", "name": "look_up", "parameters": {"type": "object"}}, {"type": "web_search"}],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}, "verbosity": "low"},
        "reasoning": {"effort": "low"},
        **changes,
    }


def test_openai_prompt_objects() -> None:
    found = only({"prompts.json": json.dumps(openai())})
    content = found.content
    assert (found.name, found.order, content.model) == ("Help-desk", 2, "gpt-5.1")
    assert texts(found) == [("system", "You help {{customer_name}}."), ("user", "About {{issue}}")]
    assert content.variable("customer_name") == Variable("customer_name", sample="Acme")
    assert [tool["function"]["name"] for tool in content.tools] == ["look_up"]
    assert content.response_schema == {"type": "object"}
    assert content.parameters == {"verbosity": "low", "reasoning": {"effort": "low"}}
    assert content.extra["openai_id"] == "pmpt_123"
    assert "'web_search'" in said(found)


def test_openai_versions_responses_and_csv() -> None:
    versions = [{"version": "2", "instructions": "B {{x}}"}, {"version": "1", "instructions": "A {{x}}"}]
    read = reading({"p.json": json.dumps({"id": "pmpt_1", "name": "n", "model": "m", "versions": versions})})
    assert [(one.order, one.content.text) for one in read.found] == [(1, "A {{x}}"), (2, "B {{x}}")]
    response = {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-5.1",
        "instructions": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]}
        ],
        "prompt": {"id": "pmpt_9", "version": "4", "variables": {}},
        "output": [],
    }
    found = only({"r.json": json.dumps(response)})
    assert (found.name, found.order, texts(found)) == ("pmpt_9", 4, [("developer", "Be kind.")])
    table = only({"p.csv": "id,name,version,model,instructions\npmpt_1,Desk,1,gpt-5.1,You help {{who}}.\n"})
    assert (table.name, texts(table)) == ("Desk", [("system", "You help {{who}}.")])


# --- Files that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "raw", "words"),
    [
        ("a.prompty", "system:\nGr\xfc\xdfe".encode("latin-1"), "line 2, column 3: This byte is not UTF-8"),
        ("a.txt", "hi".encode("utf-16"), "UTF-16"),
        ("a.txt", b"\x00\x01", "not a text file"),
        ("a.zip", b"PK\x03\x04rest", "Archives are not opened"),
        ("a.yaml", "x: " + "y" * 300_000, "larger than 256 KiB"),
        ("../a.txt", "hi", "leads out of the folder"),
        ("a.docx.exe", "hi", "This kind of file is not read"),
        ("README.md", "# hi", "a page about the prompts"),
        ("a.yaml", "services: {}", "neither 'messages' nor 'text'"),
        ("a.json", '{"a": 1}', "No prompts of Langfuse or OpenAI"),
        ("a.json", '{"a": ', "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.prompt.yaml", "name: a\ntext: *x\n", "line 2, column 7"),
        ("a.txt", "  \n", "empty"),
        ("a.prompty", "---\nname: x\n---\n", "There is no message"),
        ("a.prompt", "---\nmodel: x\n---\n", "no text below"),
    ],
)
def test_refuses_with_the_reason(path: str, raw: str | bytes, words: str) -> None:
    assert words in refusal({path: raw})


def test_one_bad_file_does_not_keep_the_others_out() -> None:
    read = reading({"good.txt": "Hello", "bad.prompt.yaml": "name: [", "more.prompty": "---\n---\nuser:\nHi\n"})
    assert {found.name for found in read.found} == {"good", "more"}
    assert [refused.path for refused in read.refused] == ["bad.prompt.yaml"]


def test_what_is_found_can_be_written_in_our_own_format() -> None:
    found = only({"prompts/kitchen/recipe.prompt": RECIPE})
    text = own.write(own.PromptFile(found.name, found.content))
    assert own.read(text).content == found.content
    assert Message("user", "A recipe for {{food}}.") in own.read(text).content.messages


@pytest.mark.parametrize(
    "unit", ["{{!--", "{{", "{%", "![", "![](", "${input:", "[a](", "{{#if a}}", " ", "{{~a~}}", "{{a b}}"]
)
@pytest.mark.parametrize("path", ["a.prompty", "a.prompt", "a.prompt.md", "a/skprompt.txt"])
def test_time_grows_with_the_size_of_a_file(path: str, unit: str) -> None:
    """A tag that never ends is looked for once, not once for every beginning."""
    text = "---\nname: x\n---\nsystem:\n" + unit * (64_000 // len(unit)) + "."
    begun = time.process_time()
    reading({path: text})
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("syntax", Syntax)
@pytest.mark.parametrize("text", ["{{ %s }}", "{{ %s", "{%% for %s in x %%}", "{{#%s}}"])
@pytest.mark.parametrize("unit", [" ", "a", "a ", "a,", "a.", "}}{{a"])
def test_time_of_guessing_grows_with_the_size_of_a_text(syntax: Syntax, text: str, unit: str) -> None:
    begun = time.process_time()
    guessing.variables(["a"], [text % (unit * (100_000 // len(unit)))], syntax)
    assert time.process_time() - begun < 3
