"""Reply → one part: the markdown for those who read text, the node tree for the widget."""

from __future__ import annotations

from adapters.tree import tree
from gateway.messages import Address, Part, Reply


class WebRenderer:
    """Pure. A page has no limit of length, so an answer is always one part."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        del address, max_parts
        return [
            Part(
                text=reply.text,
                purpose=reply.purpose,
                notice=reply.notice,
                payload={"content": tree(reply.text)},
            )
        ]
