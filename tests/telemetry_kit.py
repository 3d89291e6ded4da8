"""An OpenTelemetry SDK that keeps what it is told, and what a test asks of it and of the log."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, MetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chirp.middleware.sessions import metering

PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}  # what every record has


class Told:
    """What was told to an SDK.

    Attributes:
        meters: takes the place of the global meter provider.
        tracers: takes the place of the global tracer provider.
    """

    def __init__(self, *readers: MetricReader) -> None:
        self._reader = InMemoryMetricReader()
        self._exporter = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader, *readers])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def shutdown(self) -> None:
        self.meters.shutdown()
        self.tracers.shutdown()

    def _all(self) -> list[Metric]:
        data = self._reader.get_metrics_data()
        resources = data.resource_metrics if data is not None else ()
        return [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]

    def units(self) -> dict[str, str]:
        return {metric.name: metric.unit for metric in self._all()}

    def metrics(self) -> dict[str, list[Any]]:
        """Return the data points of every metric, by its name without `chirp.sessions.`."""
        return {metric.name.removeprefix("chirp.sessions."): list(metric.data.data_points) for metric in self._all()}

    def counts(self, name: str) -> dict[str, int]:
        """Return a counter's values by the value of their attributes, joined; "" for one without."""
        points = self.metrics().get(name, [])
        return {" ".join(map(str, point.attributes.values())): point.value for point in points}

    def total(self, name: str) -> int:
        return sum(self.counts(name).values())

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def text(self) -> str:
        """Return everything that was told, as one text."""
        data = self._reader.get_metrics_data()
        return "\n".join([data.to_json() if data else "", *(span.to_json() for span in self.spans())])


@contextmanager
def set_up(*readers: MetricReader, tracing: bool = True) -> Iterator[Told]:
    """Take the place of an SDK that an app has set up, which it can do only once in a process."""
    told = Told(*readers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "current", None)
        patch.setattr(metrics, "get_meter_provider", lambda: told.meters)
        patch.setattr(metrics, "get_meter", told.meters.get_meter)
        if tracing:
            patch.setattr(trace, "get_tracer_provider", lambda: told.tracers)
            patch.setattr(trace, "get_tracer", told.tracers.get_tracer)
        yield told
    told.shutdown()


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return what a JSON formatter finds in a record beyond its text."""
    return {name: value for name, value in vars(record).items() if name not in PLAIN}


def events(records: Iterable[logging.LogRecord]) -> list[str]:
    return [fields_of(record)["event"] for record in records if "event" in fields_of(record)]
