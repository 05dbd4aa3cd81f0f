"""Personal data: quality of detection and speed of masking, against Presidio on the same data in the same run.

- sample: the sample at `--rows` customers, planned and masked; `AnalyzerEngine` per cell and presidio-structured, which
  is installed into a scratch folder, on a part of it, scaled (`pii_sample.py`).
- columns: the kinds of columns of annotated tables, if they lie beside the project, and of Faker's (`pii_columns.py`).
- text: spans in prose that was not tuned on, and `AnalyzerEngine` on the same (`pii_text.py`).
- masking: typed cells a second, and the memory of `atlas pii mask` (`pii_masking.py`).

Run: .venv/bin/python benchmarks/pii.py [--rows N] [--only PART …] [--json]
"""

import sys

import harness

PARTS = ("columns", "text", "masking", "sample")


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    parser = harness.arguments(__doc__, 100_000, "customers of the sample", 3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="the parts to run (default: all)")
    parser.add_argument("--part-rows", type=int, default=100, help="rows a table for the rivals (default: 100)")
    parser.add_argument("--texts", type=int, default=600, help="texts of each set (default: 600)")
    options = parser.parse_args()
    import pii_columns
    import pii_masking
    import pii_sample
    import pii_text

    report = harness.Report("personal data")
    if "columns" in options.only:
        pii_columns.measure(report)
    if "text" in options.only:
        pii_text.measure(report, options.texts)
    if "masking" in options.only:
        pii_masking.measure(report, 2 * options.rows, options.rounds)
    if "sample" in options.only:
        pii_sample.measure(report, options.rows, options.part_rows)
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
