"""The metrics for Prometheus: counts and times of requests, and how busy the service is."""

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one service keep their numbers
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


def forget_process(number: int | None) -> None:
    """Drop the gauges of a process that has ended."""
    if number is not None:
        mark_process_dead(number, os.environ[SHARED])  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of this process; `text` gives those of all processes of the service together."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("facesearch_requests", "Answered.", labels, registry=own)
        self.seconds = Histogram(
            "facesearch_request_seconds",
            "Until answered.",
            ("route",),
            registry=own,
            buckets=SECONDS,
        )
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read when the metrics are asked for."""
        kept = Gauge(name, text, registry=self._registry, multiprocess_mode="livesum")
        self._gauges.append((kept, value))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        for gauge, value in self._gauges:
            gauge.set(value())
        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
