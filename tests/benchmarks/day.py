"""A day of a fleet of replicas, simulated: load that rises and falls, bursts, replicas that die, one that is sized.

Every replica is a queue with one server (Lindley's recursion in steps of half a second): work that arrives in a step is
drawn from a Poisson number of messages of log-normal cost, spread over the replicas that are ready by a balancer that
knows nothing of queues, in requests of one message. A replica that dies loses what it has accepted; what would wait
longer than the deadline is refused, as the service's admission does it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.results import Result, Table

DAY_S = 86_400
SEED = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured: `python -m tests.benchmarks cost` (docs/scale.md)."""

    messages_per_s: float = 376.0  # of one replica, one mail a request, as fast as it can
    core_ms: float = 2.97  # a message
    memory_mb: float = 443.0
    bytes_in: float = 8_160.0
    bytes_out: float = 321.0


@dataclass(frozen=True, slots=True)
class Load:
    """The mail of a day."""

    messages: float = 1e9
    peak: float = 2.0  # the busiest hour to the mean
    burst: float = 1.25  # a campaign, for minutes, on top of that
    bursts: int = 12


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas, and what befalls them."""

    replicas: int
    deadline_s: float = 2.0
    dies_every_s: float = 7 * DAY_S  # a replica: nodes that go, rollouts, kills
    back_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Day:
    """What became of it."""

    messages: float
    refused: float
    lost: float
    """Accepted by a replica that died; whoever sent them gets no answer, and sends them again."""
    waits_s: tuple[float, float, float]  # p50, p99, p99.9 of what was answered
    busy: float  # share of the replicas' time, the mean
    busiest: float  # the same in the busiest minute


def replicas_for(load: Load, cost: Cost, utilisation: float = 0.7, spare: float = 0.05) -> int:
    """Return how many replicas keep below a utilisation at the peak with a burst on it, some of them away.

    Near the capacity waits grow fast (docs/benchmarks.md: p99 39 ms at 0.5, 65 ms at 0.75, 82 ms at 0.9, 821 ms at 1).
    """
    peak = load.messages / DAY_S * load.peak * load.burst
    return math.ceil(peak / (cost.messages_per_s * utilisation) * (1 + spare))


def sizing_rows(load: Load, cost: Cost) -> list[tuple[str, str]]:
    """Return what a load needs, for a table."""
    mean = load.messages / DAY_S
    peak = mean * load.peak * load.burst
    replicas = replicas_for(load, cost)
    cores = replicas * cost.messages_per_s * cost.core_ms / 1000
    return [
        ("messages a second, mean and busiest", f"{mean:,.0f}, {peak:,.0f}"),
        ("replicas at the peak", f"{replicas:,}"),
        ("cores of these, when all are fully busy", f"{cores:,.0f}"),
        ("memory of these, at the limit of 1,500 MiB", f"{replicas * 1500 / 1024:,.0f} GiB"),
        ("memory of these, as measured under load", f"{replicas * cost.memory_mb / 1000:,.0f} GB"),
        ("network in at the busiest", f"{peak * cost.bytes_in * 8 / 1e9:,.2f} Gbit/s"),
        ("network out at the busiest", f"{peak * cost.bytes_out * 8 / 1e9:,.2f} Gbit/s"),
        ("mail a day", f"{load.messages * cost.bytes_in / 1e12:,.1f} TB"),
        ("core-hours a million messages, when busy", f"{cost.core_ms * 1e3 / 3600:,.2f}"),
        ("core-hours a day, busy", f"{load.messages * cost.core_ms / 3.6e6:,.0f}"),
        ("core-hours a day, if all replicas are there all day", f"{cores * 24:,.0f}"),
    ]


def simulate(load: Load, cost: Cost, fleet: Fleet, *, hours: tuple[float, float] = (0, 24), step_s: float = 0.5) -> Day:
    """Run a day, or some hours of it; the same seed has the same end."""
    random = np.random.default_rng(SEED)
    times = np.arange(hours[0] * 3600, hours[1] * 3600, step_s)
    rates = _rates(times, load, random)
    service_s = 1 / cost.messages_per_s
    sigma = 0.6  # of the logarithm of a message's cost: mail is long and short
    spread = math.exp(sigma**2) - 1
    backlog_R = np.zeros(fleet.replicas)  # seconds of work
    away_until_R = np.zeros(fleet.replicas)
    waits, weights = [np.zeros(1)], [np.zeros(1)]
    messages = refused = lost = done_s = 0.0
    busy_steps = np.zeros(len(times))
    for number, (now, rate) in enumerate(zip(times, rates, strict=True)):
        dies_R = random.random(fleet.replicas) < step_s / fleet.dies_every_s
        away_until_R[dies_R] = now + fleet.back_after_s
        lost += float(backlog_R[dies_R].sum()) / service_s
        backlog_R[dies_R] = 0
        ready_R = away_until_R <= now
        count = random.poisson(rate * step_s)
        share_R = random.multinomial(count, ready_R / max(1, ready_R.sum())) if ready_R.any() else np.zeros(0)
        messages += count
        if not ready_R.any():
            refused += count
            continue
        # Half of the step's own work is before a message of it, on average, on top of what is left over.
        ahead_R = backlog_R + np.maximum(0, share_R * service_s - step_s) / 2
        full_R = np.minimum(share_R, np.maximum(0, (fleet.deadline_s - backlog_R) / service_s))
        refused += float((share_R - full_R).sum())
        noise_R = random.normal(0, np.sqrt(np.maximum(full_R, 1e-9) * spread)) * service_s
        work_R = np.maximum(0, full_R * service_s + noise_R)
        within = np.minimum(work_R / step_s, 0.95)
        # Waits inside a step are those of M/G/1 (Pollaczek-Khinchine) at its utilisation.
        inside_R = within * service_s * (1 + spread) / (2 * (1 - within))
        waits.append(ahead_R + inside_R + service_s)
        weights.append(full_R)
        served_R = np.minimum(backlog_R + work_R, step_s) * ready_R
        backlog_R = backlog_R + work_R - served_R
        done_s += float(served_R.sum())
        busy_steps[number] = served_R.sum() / step_s / fleet.replicas
    minute = max(1, round(60 / step_s))
    busiest = float(np.convolve(busy_steps, np.ones(minute) / minute, "valid").max()) if len(times) >= minute else 0.0
    quantiles = _quantiles(np.concatenate(waits), np.concatenate(weights), (0.5, 0.99, 0.999))
    return Day(messages, refused, lost, quantiles, done_s / (fleet.replicas * len(times) * step_s), busiest)


def measure(*, quick: bool) -> Result:
    """Simulate the day of 10^9 messages with the replicas that the sizing gives, and with fewer."""
    load, cost = Load(), Cost()
    sized = replicas_for(load, cost)
    rows = []
    days = {}
    for share in (0.6, 0.75, 1.0):
        replicas = round(sized * share)
        hours = (10.0, 18.0) if quick else (0.0, 24.0)
        day = days[share] = simulate(load, cost, Fleet(replicas), hours=hours)
        waits = (f"{wait * 1000:,.0f}" for wait in day.waits_s)
        refused = f"{day.refused / day.messages:.4%}"
        rows.append((f"{replicas}", *waits, refused, f"{day.busy:.0%}", f"{day.busiest:.0%}"))
    sizing = Table(("what", "figure"), sizing_rows(load, cost), "The sizing:")
    columns = ("replicas", "p50, ms", "p99, ms", "p99.9, ms", "refused", "busy", "busiest minute")
    result = Result(tables=[sizing, Table(columns, rows, "The day, simulated:")])
    result.at_most("p99 with the replicas of the sizing", days[1.0].waits_s[1], 0.5, "s")
    result.at_most("refused with the replicas of the sizing", days[1.0].refused / days[1.0].messages, 1e-5)
    result.at_least("refused with 0.6 of them", days[0.6].refused / days[0.6].messages, 1e-3)
    return result


def _rates(times: NDArray[np.float64], load: Load, random: np.random.Generator) -> NDArray[np.float64]:
    """Messages a second: a sine over the day with its peak at 14:00, and bursts of ten minutes."""
    mean = load.messages / DAY_S
    rates = mean * (1 + (load.peak - 1) * np.cos((times / DAY_S - 14 / 24) * 2 * np.pi))
    # Bursts at times by lot, and one at the peak.
    for start in (14 * 3600 - 300, *random.uniform(0, DAY_S, load.bursts)):
        rates[(times >= start) & (times < start + 600)] *= load.burst
    return rates


def _quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], wanted: tuple[float, float, float]
) -> tuple[float, float, float]:
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    places = np.searchsorted(cumulated, np.array(wanted) * cumulated[-1])
    first, second, third = (float(values[order[min(place, len(order) - 1)]]) for place in places)
    return first, second, third
