"""Grades the answers of a proof on all processors; what is in the course's store is not computed again.

Trusted side. The workers stay, so that a proof that is repeated begins at once; `tensorgrade.pool.POOL` ends them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from ..job import Graded, Job, Settings
from ..pool import POOL
from ..results import stored


class Bench:
    """A pool of workers and a count of what it did.

    Args:
        workers: one per processor if not given.
        cache: whether results may come from the store.
        advanced: is called whenever an answer is done.
    """

    def __init__(self, workers: int | None, cache: bool, advanced: Callable[[], None]) -> None:
        self._workers = workers
        self._cache = cache
        self._advanced = advanced
        self._begun = False
        self.computed = 0
        self.reused = 0

    def submit(self, job: Job) -> Future[Graded]:
        """Grade `job`; the future raises what `tensorgrade.pool.WorkerPool.submit` says."""
        known = stored(job) if job.cache and self._cache else None
        if known is None:
            return self._compute(job)
        self.reused += 1
        future: Future[Graded] = Future()
        future.set_result(known)
        self._advanced()
        return future

    def _compute(self, job: Job) -> Future[Graded]:
        if not self._begun:
            POOL.prepare(Settings(), self._workers)
            POOL.warm_up(job.course, None)  # whatever any assignment uses
            self._begun = True
        self.computed += 1
        future = POOL.submit(job)
        future.add_done_callback(lambda _: self._advanced())
        return future
