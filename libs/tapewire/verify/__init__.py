"""Verification: checks every event, entity and checkpoint of a log, independently of the services.

The verifier recomputes everything with code of its own (decision record 0008). `invariants` has the
rules of each domain, `checkpoints` compares stored states. Start at `verifier.verify`.
"""

from tapewire.verify.erasures import RecordedRemovals
from tapewire.verify.findings import VerificationDifference
from tapewire.verify.verifier import VerificationSummary, verify

__all__ = ["RecordedRemovals", "VerificationDifference", "VerificationSummary", "verify"]
