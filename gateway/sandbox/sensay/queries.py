"""What may stand behind the question mark. Queries are closed like bodies: an unknown parameter is a 400."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from gateway.sandbox.sensay.bodies import EntryStatus, EntryType, Text

DEFAULT_PAGE, LARGEST_PAGE = 24, 100
FURTHEST_PAGE = 1_000_000_000
PageNumber = Annotated[int, Meta(ge=1, le=FURTHEST_PAGE)]
PageSize = Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
SortOrder = Literal["asc", "desc"]


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """No parameters."""


class Paged(Query):
    """The page (from 1) and its size, under any of the names that the documents give them."""

    page: PageNumber | UnsetType = UNSET
    page_index: PageNumber | UnsetType = field(default=UNSET, name="pageIndex")
    page_index_: PageNumber | UnsetType = field(default=UNSET, name="page_index")
    page_size: PageSize | UnsetType = field(default=UNSET, name="pageSize")
    page_size_: PageSize | UnsetType = field(default=UNSET, name="page_size")

    @property
    def window(self) -> slice:
        """Which of all items are on this page; beyond the end it is none."""
        page = next((n for n in (self.page_index, self.page, self.page_index_) if n is not UNSET), 1)
        size = next((n for n in (self.page_size, self.page_size_) if n is not UNSET), DEFAULT_PAGE)
        return slice((page - 1) * size, page * size)


class ReplicaQuery(Paged):
    slug: str | UnsetType = UNSET
    owner_id: str | UnsetType = field(default=UNSET, name="ownerID")
    owner_uuid: str | UnsetType = UNSET
    search: str | UnsetType = UNSET
    tags: list[str] = []
    integration: Literal["telegram", "discord"] | UnsetType = UNSET
    sort: Literal["name", "popularity"] | UnsetType = UNSET


class EntryQuery(Paged, rename="camel"):
    status: EntryStatus | UnsetType = UNSET
    type: EntryType | UnsetType = UNSET
    sort_by: Literal["createdAt"] = "createdAt"
    sort_order: SortOrder = "desc"


class TalkQuery(Paged, rename="camel"):
    """`sort_by` left out: the order that the list in question is known for."""

    sort_by: Literal["replicaReplies", "firstMessageAt", "lastReplicaReplyAt"] | UnsetType = UNSET
    sort_order: SortOrder = "desc"


class Cursor(Query):
    """From the newest back, or from a message on; the message itself is left out."""

    limit: Limit = 20
    before: UUID | UnsetType = field(default=UNSET, name="beforeUUID")
    after: UUID | UnsetType = field(default=UNSET, name="afterUUID")


class Upload(Query):
    filename: Text
