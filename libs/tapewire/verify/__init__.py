"""Verification: every entity and every view against the log, reckoned by other means than the
services' own (docs/adr/0008). Start at `reading.verify`; `laws` are what must hold of each domain.
"""

from tapewire.verify.findings import VerificationDifference
from tapewire.verify.verifier import VerificationSummary, verify

__all__ = ["VerificationDifference", "VerificationSummary", "verify"]
