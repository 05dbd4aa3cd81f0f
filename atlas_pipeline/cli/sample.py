"""`atlas sample`: write the sample data. The data itself is made by `atlas_pipeline.sample`."""

from pathlib import Path

from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json, print_table, progress


def run(out: Path, rows: int, seed: int, json: bool) -> int:
    """Write the sample and say what was written."""
    from atlas_pipeline.sample import generate

    with failures_as_messages(), progress("writing sample data") as show:
        summary = generate(out, rows, seed, lambda name, done, total: show(f"{name}: {done:,} of {total:,} rows"))
    datasets = [
        {"name": name, "files": list(one.files), "rows": one.rows, "bytes": one.bytes}
        for name, one in summary.datasets.items()
    ]
    if json:
        print_json({"out": str(summary.out), "rows": rows, "seed": seed, "datasets": datasets})
    else:
        lines = [[one.rows, one.bytes, "\n".join(one.files)] for one in summary.datasets.values()]
        table = [[name, *line] for name, line in zip(summary.datasets, lines, strict=True)]
        print_table("Sample data", {"dataset": "left", "rows": "right", "bytes": "right", "files": "left"}, table)
        OUT.print(f"in {summary.out}; what is personal in it: {summary.out / 'labels'}", highlight=False)
    return 0
