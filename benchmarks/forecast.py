"""How often do forecast intervals hold on real traffic?

    python benchmarks/forecast.py REQUESTS_PER_10MIN.csv.gz [MORE.csv.gz ...] [--level 0.8]

Files have the columns client_id, window_start_s, requests (ServeGen's), or a TIMESTAMP column first (the Azure LLM
trace's). Of a file of windows each client, and all together, are series of days; of a trace, requests by minute are one
series and stand for days. From each origin the next four are held back, forecast, and compared; "naive" says that each
day will be as the last one, with the spread of the changes from day to day.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.budgets.forecasting import forecast

DAY_SECONDS = 86_400
LEAST_A_DAY = 50
FIRST = date(2026, 1, 5)


def read(path: str) -> Iterator[list[float]]:
    """The series of a file."""
    sums: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    begun: datetime | None = None
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if "TIMESTAMP" in row:
                at = datetime.fromisoformat(row["TIMESTAMP"][:26])
                begun = begun or at
                sums["all"][int((at - begun).total_seconds()) // 60] += 1
            else:
                place = int(row["window_start_s"]) // DAY_SECONDS
                for name in (row["client_id"], "all"):
                    sums[name][place] += float(row["requests"])
    for places in sums.values():
        series = [places.get(place, 0.0) for place in range(max(places))]
        if len(series) > 10 and np.mean(series) >= LEAST_A_DAY:
            yield series


def naive(history: Sequence[float], ahead: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of the last value carried on."""
    changes = np.diff(np.asarray(history))
    width = NormalDist().inv_cdf((1 + level) / 2) * changes.std() * np.sqrt(np.arange(1, ahead + 1))
    return np.maximum(0, history[-1] - width), history[-1] + width


def main() -> None:
    """Print a table: coverage of days and of sums, and how wide the intervals are beside the naive ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--level", type=float, default=0.8)
    told = parser.parse_args()
    print("| file | forecasts | level | days held | sums held | naive days held | width / naive |")
    print("|---|---|---|---|---|---|---|")
    for path in told.files:
        held, sums, plain, widths, count = [], [], [], [], 0
        for series in read(path):
            for origin in range(8, len(series) - 1, 2):
                rest = np.asarray(series[origin : origin + 4])
                found = forecast(series[:origin], first=FIRST, days=len(rest), level=told.level)
                if found is None:
                    continue
                count += 1
                low = np.array([each.low for each in found.days])
                high = np.array([each.high for each in found.days])
                held += list((low <= rest) & (rest <= high))
                total = found.total()
                sums.append(total.low <= rest.sum() <= total.high)
                bottom, top = naive(series[:origin], len(rest), told.level)
                plain += list((bottom <= rest) & (rest <= top))
                widths.append(float((high - low).mean() / max(1e-9, (top - bottom).mean())))
        short = Path(path).parent.name + "/" + Path(path).name
        print(
            f"| {short} | {count} | {told.level:.0%} | {np.mean(held):.1%} | {np.mean(sums):.1%} "
            f"| {np.mean(plain):.1%} | {np.median(widths):.2f} |"
        )


if __name__ == "__main__":
    main()
