"""`make bench`: what the product promises, measured here and now."""

from collections.abc import Callable, Sequence

from tests.performance import (
    access,
    audit,
    authentication,
    cold_start,
    cost_report,
    encryption,
    health,
    ledger,
    limits,
    logging,
    metrics,
    overhead,
    pii,
    regulations,
    serving,
    tracing,
)

Rows = Sequence[tuple[str, str]]

TABLES: tuple[tuple[str, Callable[[], Rows]], ...] = (
    ("Serving, with the embedded defaults", serving.measure),
    ("Telemetry: on and off, the same function in turn", overhead.measure),
    ("Telemetry, part by part: spans", tracing.measure),
    ("Telemetry, part by part: metrics", metrics.measure),
    ("Telemetry, part by part: log lines", logging.measure),
    ("The way in: key, limits and body together", access.measure),
    ("Authentication", authentication.measure),
    ("Limits and Idempotency-Keys", limits.measure),
    ("Audit", audit.measure),
    ("Ledger and governor", ledger.measure),
    ("Encryption", encryption.measure),
    ("Cost report", cost_report.measure),
    ("Health", health.measure),
    ("Cold start", cold_start.measure),
)


def main() -> None:
    for title, measure in TABLES:
        print(f"{title}:")
        for name, value in measure():
            print(f"  {name:<60} {value}")
    print("Masking:")
    pii.print_table(pii.measure())
    print("Regulations:")
    regulations.main()


if __name__ == "__main__":
    main()
