"""Whether a set-up works: asks the services without changing anything there, and looks at the machine.

`examine` is the whole of it; `findings` is what came out; all else is one look each.
"""

from gateway.doctor.examine import Around, examine
from gateway.doctor.findings import Report, Seen

__all__ = ["Around", "Report", "Seen", "examine"]
