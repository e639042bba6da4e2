"""What Prometheus reads of a server."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class Metrics:
    """Counters of one server; names and values say nothing of texts or keys."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._registry = own
        self.requests = Counter("trimtab_requests", "Requests answered.", ("route", "status"), registry=own)
        self.seconds = Histogram(
            "trimtab_request_seconds", "From the request to the end of its answer.", ("route",), buckets=_SECONDS,
            registry=own,
        )  # fmt: skip
        self.first_token = Histogram(
            "trimtab_first_token_seconds", "From the request to the engine's first event.", buckets=_SECONDS,
            registry=own,
        )  # fmt: skip
        self.running = Gauge("trimtab_answers_running", "Answers being made.", registry=own)
        self.tokens = Counter("trimtab_tokens", "Tokens of prompts and answers.", ("kind",), registry=own)
        self.edited = Counter(
            "trimtab_edited_tokens", "Tokens in scope, and those of them that were changed.", ("steering", "kind"),
            registry=own,
        )  # fmt: skip
        self.cancelled = Counter("trimtab_answers_cancelled", "Answers whose reader hung up.", registry=own)
        self.failures = Counter("trimtab_engine_failures", "Requests that the engine failed.", registry=own)

    def add(self, collector: Collector) -> None:
        """Show figures beside."""
        self._registry.register(collector)

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
