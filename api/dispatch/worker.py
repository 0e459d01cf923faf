"""The outbox's reader: takes what is due, sends it, notes what became of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from api import tracing
from api.dispatch import DeliveryError, Dispatcher, RefusedError
from api.services import Services
from api.types import DispatchJob

log = logging.getLogger(__name__)

PARALLEL: Final = 8
PAUSE_AFTER_FAULT_S: Final = 2.0


class DispatchWorker:
    """Send due dispatches until cancelled.

    At least once: the lease of what was being sent when the process died ends, and it is sent again under
    the same idempotency key. Nothing here runs in a request, so a dead target blocks nobody.
    """

    def __init__(self, services: Services, dispatcher: Dispatcher, *, poll_s: float = 0.5) -> None:
        self._services = services
        self._dispatcher = dispatcher
        self._poll_s = poll_s

    async def run(self) -> None:
        """Work until cancelled; a fault is logged and the loop goes on."""
        while True:
            try:
                idle = not await self.run_once()
            except Exception:  # a process loop: what is due stays due
                log.exception("dispatch: a round failed")
                await asyncio.sleep(PAUSE_AFTER_FAULT_S)
                continue
            if idle:
                await asyncio.sleep(self._poll_s)

    async def run_once(self) -> int:
        """Send what is due now; give how many that were."""
        jobs = await asyncio.to_thread(self._services.due_dispatches, PARALLEL)
        outcomes = await asyncio.gather(*map(self._deliver, jobs), return_exceptions=True)
        for fault in (outcome for outcome in outcomes if isinstance(outcome, Exception)):
            log.error("dispatch: not noted, it will be sent again", exc_info=fault)
        return len(jobs)

    async def _deliver(self, job: DispatchJob) -> None:
        said: dict[str, str | int] = {
            "kerbwatch.case_id": str(job.case_id),
            "kerbwatch.attempt": job.dispatch.attempts + 1,
        }
        with tracing.continued(job.traceparent, "dispatch", **said):
            await self._send(job)

    async def _send(self, job: DispatchJob) -> None:
        dispatch_id = job.dispatch.dispatch_id
        try:
            receipt = await self._dispatcher.send(job)
        except DeliveryError as error:
            permanent = isinstance(error, RefusedError)
            log.warning("case %s was not taken: %s", job.case_id, error)
            await asyncio.to_thread(
                self._services.record_failure,
                dispatch_id,
                str(error),
                permanent=permanent,
                retry_after_s=error.retry_after_s,
            )
        else:
            log.info("case %s was taken: %s", job.case_id, receipt.receipt_id)
            await asyncio.to_thread(self._services.record_receipt, dispatch_id, receipt)
