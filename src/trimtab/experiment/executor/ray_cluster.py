"""Tasks shared out among the workers of a Ray cluster, or of one that lasts as long as the tasks."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic

from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.executor.folders import marked, packed, write
from trimtab.experiment.executor.ray_worker import Answer, Installation, Place, Worker, installation
from trimtab.experiment.executor.schedule import TRIES, Schedule
from trimtab.experiment.executor.work import Models, T, Work, check_workers, threads_each
from trimtab.experiment.progress import Progress
from trimtab.experiment.telling import Ear, Told, pass_on
from trimtab.threads import sleep_while_waiting

if TYPE_CHECKING:
    from types import ModuleType

LOCAL: Final = "local"  # a cluster of this machine alone, which ends with the tasks
RUNNING: Final = "auto"  # the one that RAY_ADDRESS names or that was started on this machine
_OFTEN: Final = 0.1  # seconds between two looks at what workers tell
_PATIENCE: Final = 600.0  # seconds without a single worker after which none is expected any more
_ENDING: Final = 30.0  # seconds that a worker has to end
_AGAIN: Final = "the same command goes on where it stopped"


@dataclass(frozen=True)
class Ray:
    """Workers on a Ray cluster: actors, each with its own model.

    A worker that vanishes, or its machine, costs only the task that it was at, which another one does; the slowest
    tasks at the end are given to idle workers too, and whoever is first counts.

    Args:
        address: `local`, `auto`, or `ray://HOST:PORT` of a cluster's client server.
        workers: actors.
        gpus: of each worker, such as 1 or 0.5.

    Raises:
        InputError: less than one worker, GPUs below 0, Ray is not installed.
    """

    address: str
    workers: int
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if not 0 <= self.gpus < float("inf"):
            raise InputError(f"gpus={self.gpus} of a Ray worker: give 0 or more", code="out-of-range", field="executor")
        _ray()

    @property
    def threads(self) -> int:
        """Of each worker, which asks the cluster for as many CPUs."""
        return threads_each(self.workers)

    def run(
        self,
        work: Work[T],
        tasks: Sequence[T],
        folder: Path,
        progress: Progress,
        models: Models,
        finished: Callable[[T], None] = lambda task: None,
    ) -> None:
        """See `Executor`; where a worker does not see the folder, its files are brought there.

        Raises:
            InputError: workers have other versions than this process.
            TrimtabError: of a task; there is no cluster, no worker began, or a task ended every worker that was at it.
        """
        if not tasks:
            return
        home = Path(os.path.abspath(folder))
        sleep_while_waiting()
        with self._connected() as ray, marked(home) as mark:
            place = Place(os.getcwd(), home, mark)
            sent = ray.put(packed((work, list(tasks)), home, ray.cloudpickle.Pickler))
            crew: _Crew[T] = _Crew(ray, self, sent, place, progress)
            try:
                crew.do(tasks, finished)
            except (ConnectionError, ray.exceptions.RaySystemError) as error:
                raise TrimtabError(
                    f"the Ray cluster is gone: {_first_line(error)}; {_AGAIN}", field="executor"
                ) from error
            finally:
                crew.leave()

    @contextmanager
    def _connected(self) -> Iterator["ModuleType"]:
        """Ray, connected; a connection that this process has already is used and kept."""
        ray = _ray()
        if ray.is_initialized():
            yield ray
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address == LOCAL:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
            options |= {"num_cpus": self.workers * self.threads, "include_dashboard": False}
        try:
            ray.init(address=self.address, **options)
        except Exception as error:  # of several kinds, by the way of the connection
            raise TrimtabError(
                f"no Ray cluster answers at {self.address!r}: {_first_line(error)}; is it running, of the same "
                "versions of Ray and Python, and if it asks for a token, are RAY_AUTH_MODE and RAY_AUTH_TOKEN set?",
                code="endpoint-failed",
                field="executor",
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


@dataclass
class _Attempt:
    """What was told during an attempt at a task.

    Args:
        shown: whether it is passed on; that of a competitor of a straggler is not.
        amounts: by name of the piece and stage.
    """

    shown: bool
    amounts: Counter[tuple[str | None, str]] = field(default_factory=Counter)


class _Crew(Generic[T]):
    """The workers of one run.

    Args:
        ray: connected.
        executor: says how many and how large.
        sent: reference of the packed tasks.
        place: where this process stands.
        progress: is told what the tasks tell.
    """

    def __init__(self, ray: "ModuleType", executor: Ray, sent: Any, place: Place, progress: Progress) -> None:
        self._ray, self._executor, self._sent, self._place, self._progress = ray, executor, sent, place, progress
        self._numbers = count()
        self._workers: dict[int, Any] = {}
        self._beginning: dict[Any, int] = {}  # worker by reference of its beginning
        self._doing: dict[Any, tuple[int, int, int]] = {}  # worker, attempt and task by reference of the answer
        self._idle: list[int] = []
        self._attempts: dict[int, _Attempt] = {}
        self._kinds: set[str] = set()
        self._unborn = 0
        self._ear = ray.remote(Ear).options(num_cpus=0, max_restarts=-1, max_task_retries=-1, **_here(ray)).remote()

    def do(self, tasks: Sequence[T], finished: Callable[[T], None]) -> None:
        """Do all tasks."""
        schedule: Schedule[int] = Schedule(len(tasks))
        for _ in range(min(self._executor.workers, len(tasks))):
            self._hire()
        waiting = time.monotonic()
        while not schedule.over:
            self._assign(schedule)
            ready, _ = self._ray.wait([*self._beginning, *self._doing], num_returns=1, timeout=_OFTEN)
            self._listen()
            for reference in ready:
                if reference in self._beginning:
                    self._begun(reference)
                else:
                    done = self._answered(reference, schedule)
                    if done is not None:
                        finished(tasks[done])
            if self._doing or self._idle:
                waiting = time.monotonic()
            elif time.monotonic() - waiting > _PATIENCE:
                raise TrimtabError(
                    f"the Ray cluster gave no worker within {_PATIENCE / 60:.0f} minutes; each needs "
                    f"{self._executor.threads} CPUs and {self._executor.gpus:g} GPUs",
                    field="executor",
                )

    def leave(self) -> None:
        """End all workers."""
        with suppress(Exception):  # what does not answer any more has ended
            self._ray.wait([self._workers[w].end.remote() for w in self._idle], num_returns=len(self._idle), timeout=5)
        for worker in [*self._workers.values(), self._ear]:
            with suppress(Exception):
                self._ray.kill(worker)
        with suppress(Exception):  # whoever is still at a task writes nothing any more when its answer is an error
            self._ray.wait([*self._doing], num_returns=len(self._doing), timeout=_ENDING)

    def _hire(self) -> None:
        """Ask the cluster for a worker."""
        executor, number = self._executor, next(self._numbers)
        variables = {"OMP_NUM_THREADS": str(executor.threads), "OMP_WAIT_POLICY": os.environ["OMP_WAIT_POLICY"]}
        made = self._ray.remote(Worker).options(
            num_cpus=executor.threads,
            num_gpus=executor.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": variables},
        )
        self._workers[number] = made.remote(executor.threads, self._place, self._ray.get)
        self._beginning[self._workers[number].begin.remote(self._sent, self._ear)] = number

    def _assign(self, schedule: Schedule[int]) -> None:
        """Give idle workers something to do."""
        for worker in list(self._idle):
            task = schedule.next(worker, time.monotonic())
            if task is None:
                return
            self._idle.remove(worker)
            attempt = next(self._numbers)
            self._attempts[attempt] = _Attempt(shown=all(other != task for _, _, other in self._doing.values()))
            self._doing[self._workers[worker].do.remote(task, attempt)] = worker, attempt, task

    def _begun(self, reference: Any) -> None:
        """A worker is ready, or could not begin."""
        worker = self._beginning.pop(reference)
        try:
            found = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self._ray.exceptions.RayError as error:
            self._dismiss(worker)
            self._unborn += 1
            if self._unborn >= TRIES:
                raise TrimtabError(
                    f"{TRIES} workers in a row could not begin on the Ray cluster: {_last_line(error)}; is trimtab "
                    "installed there?",
                    field="executor",
                ) from error
            self._hire()
            return
        self._unborn = 0
        self._compare(found)
        self._idle.append(worker)

    def _compare(self, found: Installation) -> None:
        """Check that a worker computes what this process would."""
        own = installation()
        for (name, theirs), (_, ours) in zip(found.versions, own.versions, strict=True):
            if theirs != ours:
                raise InputError(
                    f"the Ray worker on {found.host} has {name} {theirs}, this process {ours}; figures of both cannot "
                    "stand in one table: install the same there",
                    code="unsupported",
                    field="executor",
                )
        if found.processor not in self._kinds | {own.processor}:
            self._kinds.add(found.processor)
            self._progress.say(
                f"the processor of {found.host} computes with {found.processor}, this one with {own.processor}: the "
                "last digits of figures may depend on where they were computed"
            )

    def _answered(self, reference: Any, schedule: Schedule[int]) -> int | None:
        """A worker has done its task, could not, or has vanished: the task, if it is done now."""
        worker, attempt, _ = self._doing.pop(reference)
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self._ray.exceptions.RayError as error:
            self._lost(worker, attempt, schedule, error)
            return None
        self._idle.append(worker)
        self._attempts.pop(attempt)
        if answer.error is not None:
            if schedule.failed(worker):
                raise answer.error
            return None
        done = schedule.done(worker, time.monotonic())
        if done is not None:
            write(answer.files, self._place.folder)
        return done

    def _lost(self, worker: int, attempt: int, schedule: Schedule[int], error: Exception) -> None:
        """A worker has vanished: what it told is taken back, its task tried again, and another one hired."""
        self._dismiss(worker)
        lost = self._attempts.pop(attempt)
        for (name, stage), amount in lost.amounts.items():
            pass_on(self._progress, (name, "advance", (stage, -amount)))
        if schedule.lost(worker) is not None:
            raise TrimtabError(
                f"{TRIES} workers in a row ended at one task, killed or out of memory: {_last_line(error)}; {_AGAIN}",
                field="workers",
            ) from error
        self._progress.say("a worker has ended; its task is tried again")
        self._hire()

    def _dismiss(self, worker: int) -> None:
        """Make sure that a worker which does not answer does nothing any more."""
        with suppress(Exception):
            self._ray.kill(self._workers.pop(worker))

    def _listen(self) -> None:
        """Pass on what was told."""
        try:
            heard: list[tuple[int, Told]] = self._ray.get(self._ear.take.remote())
        except self._ray.exceptions.RayActorError:
            return  # it begins anew elsewhere, where nothing was heard yet
        for attempt, told in heard:
            own = self._attempts.get(attempt)
            if own is not None and own.shown:
                name, method, arguments = told
                if method == "advance":
                    stage, amount = arguments
                    own.amounts[name, stage] += amount
                pass_on(self._progress, told)


def _ray() -> "ModuleType":
    """Ray itself.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ray
        import ray.cloudpickle
        import ray.exceptions
    except ImportError as error:
        raise InputError(
            'this executor needs Ray: pip install "trimtab[ray]"', code="not-installed", field="executor"
        ) from error
    module: ModuleType = ray
    return module


def _here(ray: "ModuleType") -> dict[str, Any]:
    """Options of an actor that stays near this process, or the server that it is a client of."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node, soft=True)}


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _last_line(error: BaseException) -> str:
    return str(error).strip().rpartition("\n")[2] or type(error).__name__
