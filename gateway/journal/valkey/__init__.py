"""`valkey://` and `redis://`: the journal on a server that several processes share.

`gateway.ports.Journal`, each method one script (docs/adr/0012). What a method decides is in `scripts/`; the modules
beside this one put its arguments together and read its answer.
"""

from __future__ import annotations

from gateway.journal.valkey.journal import ValkeyJournal

__all__ = ["ValkeyJournal"]
