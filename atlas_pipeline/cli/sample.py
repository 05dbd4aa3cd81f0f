"""`atlas sample`: write the sample data, which `atlas_pipeline.sample` generates."""

from pathlib import Path

from atlas_pipeline.cli.output import OUT, failures_as_messages, print_json, print_table, progress


def run(out: Path, rows: int, seed: int, json: bool) -> int:
    """Write the sample, and print what was written.

    Args:
        out: Folder to write to.
        rows: Number of customers.
        seed: The same rows and seed give the same bytes.
        json: Print one JSON document instead of text.

    Returns:
        The exit code, 0; failures end the command with 1.
    """
    from atlas_pipeline.sample import generate

    with failures_as_messages(), progress("writing sample data") as show:
        summary = generate(out, rows, seed, lambda name, done, total: show(f"{name}: {done:,} of {total:,} rows"))
    datasets = [
        {"name": name, "files": list(dataset.files), "rows": dataset.rows, "bytes": dataset.bytes}
        for name, dataset in summary.datasets.items()
    ]
    if json:
        print_json({"out": str(summary.out), "rows": rows, "seed": seed, "datasets": datasets})
    else:
        table = [
            [name, dataset.rows, dataset.bytes, "\n".join(dataset.files)] for name, dataset in summary.datasets.items()
        ]
        print_table("Sample data", {"dataset": "left", "rows": "right", "bytes": "right", "files": "left"}, table)
        OUT.print(f"Written to {summary.out}. Labels of its personal data: {summary.out / 'labels'}", highlight=False)
    return 0
