"""Counters, gauges and histograms, and the text Prometheus scrapes.

In:    label values as tuples, in the order the metric was made with.
Out:   `Registry.render()`, exposition format 0.0.4.
Spec:  https://prometheus.io/docs/instrumenting/exposition_formats/
Cost:  an increment is one dictionary update, an observation one bisection.
Never: I/O, threads, a global registry: each process builds its own and passes it down.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERIES_MAX = 20_000  # of one metric: labels that a client can choose must not fill memory

Labels = tuple[str, ...]
Collect = Callable[[], Mapping[Labels, float]]


class Metric:
    """Common to all kinds: a name, a help text, label names."""

    kind = "untyped"

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self.name = name
        self.labels = tuple(labels)
        self._head = f"# HELP {name} {_escape_help(help_text)}\n# TYPE {name} {self.kind}\n"

    def render(self) -> str:
        """The lines of this metric."""
        return self._head + "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        raise NotImplementedError

    def _line(self, name: str, labels: Labels, value: float, extra: str = "") -> str:
        pairs = [f'{key}="{_escape(text)}"' for key, text in zip(self.labels, labels, strict=True)]
        pairs += [extra] if extra else []
        inside = "{" + ",".join(pairs) + "}" if pairs else ""
        return f"{name}{inside} {_number(value)}\n"


class Counter(Metric):
    """Only grows."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def inc(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Add. New series past `SERIES_MAX` are dropped."""
        values = self._values
        if labels in values:
            values[labels] += amount
        elif len(values) < SERIES_MAX:
            values[labels] = amount

    def value(self, labels: Labels = ()) -> float:
        """What it stands at."""
        return self._values.get(labels, 0.0)

    def _lines(self) -> Iterator[str]:
        return (self._line(self.name, labels, value) for labels, value in self._values.items())


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"

    def set(self, value: float, labels: Labels = ()) -> None:
        """Replace."""
        if labels in self._values or len(self._values) < SERIES_MAX:
            self._values[labels] = value

    def dec(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Subtract."""
        self.inc(labels, -amount)

    def remove(self, labels: Labels) -> None:
        """Forget a series, for example of a deleted object."""
        self._values.pop(labels, None)


class Collected(Metric):
    """Asked for its values at each scrape."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], collect: Collect, kind: str) -> None:
        self.kind = kind
        super().__init__(name, help_text, labels)
        self._collect = collect

    def _lines(self) -> Iterator[str]:
        return (self._line(self.name, labels, value) for labels, value in self._collect().items())


class Histogram(Metric):
    """Counts observations in buckets; `buckets` are upper bounds, ascending, without infinity."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        super().__init__(name, help_text, labels)
        self._bounds = list(buckets)
        assert self._bounds == sorted(self._bounds)
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count one observation."""
        found = self._series.get(labels)
        if found is None:
            if len(self._series) >= SERIES_MAX:
                return
            found = self._series[labels] = ([0] * (len(self._bounds) + 1), [0.0])
        found[0][bisect_left(self._bounds, value)] += 1
        found[1][0] += value

    def count(self, labels: Labels = ()) -> int:
        """How many observations."""
        found = self._series.get(labels)
        return sum(found[0]) if found else 0

    def _lines(self) -> Iterator[str]:
        edges = [*(_number(bound) for bound in self._bounds), "+Inf"]
        for labels, (counts, total) in self._series.items():
            for edge, below in zip(edges, accumulate(counts), strict=True):
                yield self._line(f"{self.name}_bucket", labels, below, f'le="{edge}"')
            yield self._line(f"{self.name}_sum", labels, total[0])
            yield self._line(f"{self.name}_count", labels, sum(counts))


class Registry:
    """The metrics of one process. A name may be used once."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """A new counter; its name should end in `_total`."""
        metric = Counter(name, help_text, labels)
        self._add(metric)
        return metric

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """A new gauge."""
        metric = Gauge(name, help_text, labels)
        self._add(metric)
        return metric

    def histogram(self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        """A new histogram."""
        metric = Histogram(name, help_text, labels, buckets)
        self._add(metric)
        return metric

    def collected(self, name: str, help_text: str, labels: Sequence[str], collect: Collect, kind: str = "gauge") -> None:
        """A metric whose values are read when it is scraped; `kind` is gauge or counter."""
        self._add(Collected(name, help_text, labels, collect, kind))

    def render(self) -> bytes:
        """Everything, for a response of `CONTENT_TYPE`."""
        return "".join(metric.render() for _, metric in sorted(self._metrics.items())).encode()

    def _add(self, metric: Metric) -> None:
        assert metric.name not in self._metrics, metric.name
        self._metrics[metric.name] = metric


def _number(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
