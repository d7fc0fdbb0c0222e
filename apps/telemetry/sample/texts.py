"""What people ask and models answer in the sample. All of it is invented, and so is the shop, Fernhill Outdoor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chat:
    """A customer's question to support, the answer, and a follow-up with its answer."""

    question: str
    answer: str
    follow_up: str
    closing: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a help article."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """A question to the help pages, the passages found, best first, and the answer with its citations."""

    question: str
    passages: tuple[Passage, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One run of a tool by the order agent."""

    name: str
    arguments: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Errand:
    """A task for the order agent, the tools it used, and what it said in the end."""

    task: str
    tools: tuple[ToolUse, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Code:
    """Code as a model was shown it, and what it added or remarked."""

    shown: str
    written: str


SUPPORT_SYSTEM = (
    "You are the support assistant of Fernhill Outdoor. Answer in at most five sentences, kindly and exactly. "
    "Name the order number when there is one. If you are not sure, say so and offer a colleague."
)
SEARCH_SYSTEM = "Answer from the passages alone and cite them as [1], [2]. If they do not hold the answer, say so."
ORDER_SYSTEM = "You look after orders. Use the tools; never promise a date that no tool has given you."
COMPLETION_SYSTEM = "Complete the code at the cursor. Write nothing but code."
REVIEW_SYSTEM = "Review the change. Name at most three problems, the worst first, each with its line."

CHATS = (
    Chat(
        "My tent pole broke on the second night, near the middle joint. The tent is four months old. What can I do?",
        "I am sorry about that night. A pole that breaks at the joint within two years is covered by the warranty, so "
        "a replacement is free. Please send a photo of the break and the order number, and we will post a new section "
        "the same day.",
        "The order is FH-204417, and the photo is attached.",
        "Thank you, that is plainly a fault of the joint. A new middle section for order FH-204417 leaves our "
        "warehouse today and takes two to three working days. You need not send the old one back.",
    ),
    Chat(
        "Can I wash my down jacket in a machine? The label is worn off.",
        "Yes, at 30 degrees in a front loader, with a down detergent and without softener. Rinse twice, then tumble "
        "dry on low with two clean tennis balls until no lump is left, which takes about three hours.",
        "I have no dryer. Does it work on a line?",
        "It does, but it takes two to three days: lay it flat in a warm room and shake it out every few hours, or the "
        "down will clump and may start to smell.",
    ),
    Chat(
        "I was charged twice for the same order yesterday.",
        "I see two charges of 89.90 for one order. The second is a reservation that your bank releases within three "
        "working days; it was never collected. If it is still there on Friday, tell us and we will write to your bank.",
        "And if the bank asks me for proof?",
        "Then show them the confirmation that I have just sent to your address. It names the one payment that we took.",
    ),
    Chat(
        "Which of your stoves works below minus ten degrees?",
        "The Ember Multi, since it burns liquid fuel; gas cartridges lose pressure in such cold. The Ember Gas works "
        "down to about minus five with a winter mixture.",
        "How much fuel do two people need for a week?",
        "For melting snow, reckon with 0.2 litres a person and day, so about three litres. Where there is running "
        "water, half of that will do.",
    ),
    Chat(
        "My parcel says delivered, but there is nothing here.",
        "That is annoying. The driver noted a drop at a neighbour, number 14, at 11:42. Could you ask there first? If "
        "they do not have it, I will open a search with the carrier today.",
        "Nobody at number 14 knows of it.",
        "Then I have opened search 7731 with the carrier, which takes up to two days. If they find nothing, we send "
        "the order again at our cost.",
    ),
    Chat(
        "Are the Ridge boots true to size? I wear 42 in most brands, with rather wide feet.",
        "They come up narrow. With wide feet most customers take half a size more, so 42.5, or the wide last, which "
        "is marked W. Returns are free within 60 days as long as they were worn indoors only.",
        "Is the W last available in brown?",
        "In 42 W brown there are three pairs left today. In 42.5 W they come back in two weeks.",
    ),
    Chat(
        "How do I use the voucher I got for my birthday? The field says it is not valid.",
        "Birthday vouchers hold for orders from 40 euros, and not for reduced goods. In your basket is a reduced "
        "rucksack, which is why it is refused. With any other article of that price it will be taken.",
        "That was not written on the card.",
        "You are right, the card should say so, and I have passed that on. For this order I have lifted the rule: the "
        "voucher works now, until midnight.",
    ),
)

SEARCHES = (
    Search(
        "How long can I return something I bought as a gift?",
        (
            Passage("help/returns#period", "Returns: the period", "Goods can be returned within 60 days of delivery."),
            Passage(
                "help/gifts#returns",
                "Gifts",
                "Gifts bought from 1 November to 24 December can be returned until 31 January, with the gift receipt.",
            ),
            Passage("help/returns#state", "Returns: the state of goods", "Worn goods are taken back if worn indoors."),
        ),
        "Sixty days from delivery [1]. If it was bought between 1 November and 24 December, until 31 January with the "
        "gift receipt [2].",
    ),
    Search(
        "Is the Skye tent's groundsheet included?",
        (
            Passage("products/skye-2#scope", "Skye 2: in the bag", "Tent, poles, 14 pegs, repair kit, packing bag."),
            Passage(
                "products/skye-2#extras", "Skye 2: extras", "The groundsheet (290 g) fits exactly and is sold apart."
            ),
            Passage("help/tents#groundsheets", "Groundsheets", "A groundsheet doubles the life of a tent's floor."),
        ),
        "No. The bag holds the tent, poles, pegs and a repair kit [1]; the fitting groundsheet is sold apart [2].",
    ),
    Search(
        "What does the warranty cover if I repaired the jacket myself?",
        (
            Passage(
                "help/warranty#own-repairs",
                "Warranty: own repairs",
                "A repair of one's own ends the warranty for the repaired part, and for nothing else.",
            ),
            Passage("help/warranty#period", "Warranty: the period", "Two years from the day of purchase."),
            Passage("help/repair#patches", "Patches", "Patches stick for good after ironing at low heat."),
        ),
        "Your repair ends the warranty for that part alone [1]. Everything else stays covered for two years [2].",
    ),
    Search(
        "Do you deliver to the Faroe Islands?",
        (
            Passage("help/delivery#countries", "Delivery: countries", "We deliver to all countries of the EU."),
            Passage("help/delivery#islands", "Delivery: islands", "Deliveries to islands take two to five days more."),
            Passage("help/delivery#customs", "Customs", "Outside the EU, duties are paid by the customer."),
        ),
        "The passages name the EU alone [1], to which the Faroe Islands do not belong. I cannot tell for certain.",
    ),
    Search(
        "At which temperature is the comfort limit of the Larch sleeping bag measured?",
        (
            Passage(
                "products/larch#temperatures", "Larch: temperatures", "Comfort 2, limit minus 4, extreme minus 21."
            ),
            Passage(
                "help/sleeping-bags#norm",
                "How temperatures are measured",
                "By EN ISO 23537 with a heated dummy. Comfort is for lying relaxed, limit for lying curled up.",
            ),
        ),
        "Its comfort temperature is 2 degrees and its limit minus 4 [1]; both come from a heated dummy under "
        "EN ISO 23537 [2].",
    ),
)

ERRANDS = (
    Errand(
        "Change the address of my order FH-310882 to Mill Lane 3, 24103 Kiel.",
        (
            ToolUse("get_order", {"order": "FH-310882"}, {"state": "packing", "total_eur": 129.0, "parcels": 1}),
            ToolUse("change_address", {"order": "FH-310882", "to": "Mill Lane 3, 24103 Kiel"}, {"ok": True}),
        ),
        "Done: order FH-310882 goes to Mill Lane 3, 24103 Kiel. It is being packed and leaves today.",
    ),
    Errand(
        "Where is my parcel? I ordered the blue rucksack last week.",
        (
            ToolUse("find_orders", {"customer": "me", "days": 10}, {"orders": ["FH-309954"]}),
            ToolUse("track", {"order": "FH-309954"}, {"last_scan": "Hamburg hub", "due_on": "tomorrow"}),
        ),
        "Your rucksack (FH-309954) was last scanned at the hub in Hamburg and is due tomorrow.",
    ),
    Errand(
        "Please cancel FH-311207, I ordered the wrong size.",
        (
            ToolUse("get_order", {"order": "FH-311207"}, {"state": "sent", "parcels": 1}),
            ToolUse("open_return", {"order": "FH-311207", "reason": "wrong size"}, {"label": "RL-55871"}),
        ),
        "FH-311207 has left already, so I opened a free return: label RL-55871 is in your mail.",
    ),
    Errand(
        "Send me the invoice for FH-298341 again, to my company this time.",
        (
            ToolUse("get_invoice", {"order": "FH-298341"}, {"invoice": "I-77120", "total_eur": 412.5}),
            ToolUse("change_invoice", {"invoice": "I-77120", "name": "company"}, {"error": "closed since 31 March"}),
        ),
        "The invoice I-77120 is closed since 31 March and I cannot change it. I have asked a colleague to look at it.",
    ),
)

COMPLETIONS = (
    Code(
        "def free_shipping(basket: Basket, country: str) -> bool:\n    threshold = THRESHOLDS.get(country)\n    ",
        "if threshold is None:\n        return False\n    return basket.total_after_vouchers() >= threshold\n",
    ),
    Code(
        "const visible = products\n  .filter((product) => product.stock > 0)\n  .",
        "sort((a, b) => b.rank - a.rank)\n  .slice(0, PAGE_SIZE);",
    ),
    Code(
        "SELECT o.id, o.placed_at, sum(l.quantity * l.price) AS total\nFROM orders o\nJOIN ",
        "order_lines l ON l.order_id = o.id\nWHERE o.placed_at >= $1\nGROUP BY o.id, o.placed_at\nORDER BY total DESC",
    ),
    Code(
        "func (s *Stock) Reserve(ctx context.Context, sku string, n int) error {\n\t",
        "s.mu.Lock()\n\tdefer s.mu.Unlock()\n\tif s.free[sku] < n {\n\t\treturn ErrSoldOut\n\t}\n"
        "\ts.free[sku] -= n\n\treturn nil\n}",
    ),
)

REVIEWS = (
    Code(
        "--- a/shop/vouchers.py\n+++ b/shop/vouchers.py\n@@ -41,4 +41,6 @@\n def redeem(code, basket):\n"
        "-    voucher = Voucher.objects.get(code=code)\n+    voucher = Voucher.objects.filter(code=code).first()\n"
        "+    if voucher.expires_at < now():\n+        return basket\n",
        "1. Line 43: `first()` gives None for an unknown code, and `None.expires_at` fails with a 500. Keep `get` and "
        "answer the miss.\n2. Line 44: an expired voucher is dropped in silence; the customer should be told.",
    ),
    Code(
        "--- a/app/search.ts\n+++ b/app/search.ts\n@@ -12,3 +12,4 @@\n"
        "-const url = `/search?q=${encodeURIComponent(q)}`\n+const url = `/search?q=${q}`\n+log(url)\n",
        "1. Line 12: the query is no longer encoded; `a&b` searches for `a`. Put `encodeURIComponent` back.\n"
        "2. Line 13: what people search for goes to the log. Log its length at most.",
    ),
    Code(
        "--- a/stock/jobs.py\n+++ b/stock/jobs.py\n@@ -7,2 +7,3 @@\n+@retry(times=5)\n def send_reorder(sku):\n"
        "     supplier.order(sku, quantity=REORDER[sku])\n",
        "1. Line 7: a retry after a time-out orders twice. Send an idempotency key with the order.",
    ),
)
