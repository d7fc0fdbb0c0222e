"""The prompts of the sample project: those that its calls name, as somebody at the invented shop would write them.

The texts are the ones that the sample's traces show. Days count back from the moment the project was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.prompts.semver import Number

SHOP = {"name": "shop", "description": "How the shop calls itself.", "default": "Fernhill Outdoor", "required": False}


@dataclass(frozen=True, slots=True)
class SampleVersion:
    """A version, when it was published, and where it went live how many days ago."""

    number: Number
    days_ago: float
    note: str
    content: dict[str, Any]
    live: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class SamplePrompt:
    """A prompt with its versions, oldest first."""

    name: str
    description: str
    tags: tuple[str, ...]
    versions: tuple[SampleVersion, ...]


def _text(name: str, description: str, sample: str) -> dict[str, Any]:
    return {"name": name, "description": description, "sample": sample}


def _chat(system: str, user: str, variables: list[dict[str, Any]], model: str, **parameters: Any) -> dict[str, Any]:
    return {
        "kind": "chat",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "variables": variables,
        "model": model,
        "parameters": parameters,
    }


# --- Support ------------------------------------------------------------------------------------------------------

_QUESTION = _text("question", "What the customer wrote.", "Can I wash my down jacket in a machine?")
_HISTORY = {
    "name": "history",
    "type": "messages",
    "required": False,
    "description": "What was said before, oldest first.",
    "sample": [
        {"role": "user", "content": "My tent pole broke near the middle joint."},
        {"role": "assistant", "content": "I am sorry about that night. Please send a photo and the order number."},
    ],
}
_SUPPORT_FIRST = (
    "You are the support assistant of {{shop}}. Answer in at most five sentences, kindly and exactly. "
    "Name the order number when there is one."
)
_SUPPORT = f"{_SUPPORT_FIRST} If you are not sure, say so and offer a colleague."


def _support(system: str, model: str, **parameters: Any) -> dict[str, Any]:
    return _chat(system, "{{question}}", [SHOP, _QUESTION], model, **parameters)


def _support_with_history() -> dict[str, Any]:
    content = _support(_SUPPORT, "claude-sonnet-4-5", temperature=0.3, max_tokens=600)
    system, user = content["messages"]
    placeholder = {"role": "placeholder", "content": "history"}
    required_shop = {**SHOP, "required": True, "default": None, "sample": "Fernhill Outdoor"}
    return {
        **content,
        "messages": [system, placeholder, user],
        "variables": [required_shop, _HISTORY, _QUESTION],
    }


SUPPORT = SamplePrompt(
    "support-reply",
    "Answers customers in the chat of the shop.",
    ("support", "customers"),
    (
        SampleVersion(
            Number(1, 3, 0),
            96,
            "First version kept here.",
            _support(_SUPPORT_FIRST, "claude-3-5-haiku", temperature=0.3, max_tokens=400),
            (("development", 95.9), ("staging", 95.0)),
        ),
        SampleVersion(
            Number(1, 4, 0),
            48,
            "Haiku 4.5 instead of 3.5, and it owns up when it is not sure.",
            _support(_SUPPORT, "claude-haiku-4-5", temperature=0.3, max_tokens=400),
            (("development", 47.9), ("staging", 46.0)),
        ),
        SampleVersion(
            Number(2, 0, 0),
            13,
            "Sonnet, and the whole talk instead of the last question alone: callers give history and shop.",
            _support_with_history(),
            (("development", 12.9), ("staging", 12.4)),
        ),
    ),
)

# --- Help pages ---------------------------------------------------------------------------------------------------

_ANSWER_FIRST = "Answer from the passages alone and cite them as [1], [2]."
_ANSWER = f"{_ANSWER_FIRST} If they do not hold the answer, say so."
_PASSAGES = {
    "name": "passages",
    "type": "list",
    "description": "The texts that were found, best first.",
    "sample": ["Goods can be returned within 60 days of delivery.", "Worn goods are taken back if worn indoors."],
}


def _cited(system: str) -> dict[str, Any]:
    user = "{% for passage in passages %}[{{ loop.index }}] {{ passage }}\n{% endfor %}\nQuestion: {{ question }}"
    question = _text("question", "What is asked of the help pages.", "How long can I return a gift?")
    content = _chat(system, user, [_PASSAGES, question], "gemini-2.5-flash", temperature=0)
    return {**content, "syntax": "jinja"}


CITED = SamplePrompt(
    "cited-answer",
    "Answers from the help pages, with citations.",
    ("search", "customers"),
    (
        SampleVersion(
            Number(3, 1, 1),
            70,
            "Moved here from the search service's own repository.",
            _cited(_ANSWER_FIRST),
            (("development", 69.9), ("staging", 69.0)),
        ),
        SampleVersion(
            Number(3, 1, 2),
            41,
            "It used to answer from memory when the passages said nothing.",
            _cited(_ANSWER),
            (("development", 40.9), ("staging", 40.0)),
        ),
    ),
)

# --- Orders -------------------------------------------------------------------------------------------------------


def _tool(name: str, description: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {field: {"type": "string", "description": says} for field, says in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _orders(system: str) -> dict[str, Any]:
    task = _text("task", "What is to be done, in the customer's words.", "Where is my order FH-204417?")
    return {
        **_chat(system, "{{task}}", [task], "gpt-5-mini"),
        "tools": [
            _tool("find_order", "Look an order up.", order="The number, such as FH-204417."),
            _tool("track_parcel", "Where a parcel is.", parcel="The carrier's number."),
            _tool("get_invoice", "The invoice of an order.", order="The number, such as FH-204417."),
        ],
    }


ORDERS = SamplePrompt(
    "order-desk",
    "The agent that looks after orders.",
    ("agent", "customers"),
    (
        SampleVersion(
            Number(0, 9, 0),
            60,
            "Before the pilot.",
            _orders("You look after orders. Use the tools."),
            (("development", 59.5),),
        ),
        SampleVersion(
            Number(0, 9, 1),
            44,
            "It promised delivery dates that nobody had given it.",
            _orders("You look after orders. Use the tools; never promise a date that no tool has given you."),
            (("development", 43.5), ("staging", 42.0)),
        ),
    ),
)

# --- Code ---------------------------------------------------------------------------------------------------------

FILL = SamplePrompt(
    "fill-middle",
    "Completes code at the cursor.",
    ("code",),
    (
        SampleVersion(
            Number(1, 0, 3),
            88,
            "As it was in the editor plug-in.",
            _chat(
                "Complete the code at the cursor. Write nothing but code.",
                "{{before}}<cursor>{{after}}",
                [
                    _text("before", "The code before the cursor.", "def free_shipping(basket):\n    "),
                    {**_text("after", "The code after it.", ""), "required": False},
                ],
                "codestral-2508",
                temperature=0,
                max_tokens=256,
            ),
            (("development", 87.5), ("staging", 87.0)),
        ),
    ),
)
_REVIEW = "Review the change. Name at most three problems, the worst first, each with its line."
_REVIEW_SCHEMA = {
    "type": "object",
    "properties": {
        "problems": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"line": {"type": "integer"}, "problem": {"type": "string"}},
                "required": ["line", "problem"],
            },
        }
    },
    "required": ["problems"],
}


def _review(model: str) -> dict[str, Any]:
    diff = _text("diff", "The change, as a unified diff.", "-    return total\n+    return total / count\n")
    content = _chat(_REVIEW, "{{diff}}", [diff], model, temperature=0.1)
    return {**content, "response_schema": _REVIEW_SCHEMA}


REVIEW = SamplePrompt(
    "review-diff",
    "Remarks on changes before a colleague reads them.",
    ("code",),
    (
        SampleVersion(Number(2, 1, 0), 74, "The worst problem first.", _review("gpt-5"), (("development", 73.5),)),
        SampleVersion(
            Number(2, 2, 0),
            39,
            "The small model finds as much on our eighty changes and costs a fifth.",
            _review("gpt-5-mini"),
            (("development", 38.5), ("staging", 38.0)),
        ),
    ),
)

PROMPTS = (SUPPORT, CITED, ORDERS, FILL, REVIEW)
