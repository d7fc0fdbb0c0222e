"""The lines that fetch a prompt, complete and ready to be run as they are. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple


class Snippet(NamedTuple):
    """Lines in one language."""

    title: str
    code: str


def snippets(address: str, name: str, environment: str) -> tuple[Snippet, ...]:
    """How to ask for what is live, by curl, from Python and from TypeScript. The key comes from the environment."""
    url = f"{address}/api/v1/prompts/{name}/live?environment={environment}"
    return (
        Snippet("curl", _curl(address, name, environment)),
        Snippet("Python", _python(url)),
        Snippet("TypeScript", _typescript(url)),
    )


def _curl(address: str, name: str, environment: str) -> str:
    return f"""curl -G "{address}\\
/api/v1/prompts/{name}/live" \\
  -d environment={environment} \\
  -H "Authorization: \\
Bearer $PRODWORTHY_KEY\""""


def _python(url: str) -> str:
    return f"""import json, os, urllib.request

request = urllib.request.Request(
    {json.dumps(url)},
    headers={{"Authorization": "Bearer " + os.environ["PRODWORTHY_KEY"]}},
)
prompt = json.load(urllib.request.urlopen(request, timeout=2))
print(prompt["version"], prompt["messages"] if "messages" in prompt else prompt["text"])"""


def _typescript(url: str) -> str:
    return f"""const answer = await fetch({json.dumps(url)}, {{
  headers: {{ Authorization: `Bearer ${{process.env.PRODWORTHY_KEY}}` }},
}});
const prompt = await answer.json();
console.log(prompt.version, prompt.messages ?? prompt.text);"""
