#!/usr/bin/env python3
"""The tables of a results folder as pandas DataFrames, each column with its type.

    pip install pandas
    scripts/load.py FOLDER

prints the shape of each table, and the median over the trials of `latency_ns_p50`. From Python:

    from load import load
    tables = load("results/quickstart/reference")
    tables["latency"].groupby("variant")["latency_ns_p50"].median()

Types come from `columns.csv` in the folder, which the run wrote; docs/columns.md says what each column
means. Whole numbers are `Int64` and truth values `boolean`, so a value that was not measured is `<NA>`
and no zero; seeds, codes and the values of swept keys are `string`, in which empty is a value and `NA`
the name of a region.
"""

import sys
from pathlib import Path

try:
    import pandas as pd
except ImportError:
    sys.exit("load.py needs the package pandas: pip install pandas")

# The types of columns.csv.
DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "text": "string"}


def path_of(folder, name):
    """The file of a table, which a reference may have compressed; None where there is none."""
    plain = Path(folder) / name
    return next((path for path in (plain, Path(f"{plain}.gz")) if path.exists()), None)


def columns_of(folder):
    """What columns.csv says: of each table, the type of each column."""
    path = path_of(folder, "columns.csv")
    if path is None:
        raise FileNotFoundError(
            f"{folder} has no columns.csv: name a results folder of `flexpaxos run` with tables of schema 7 "
            "or newer (`table_schema_version` in manifest.json)"
        )
    columns = pd.read_csv(path, dtype="string", keep_default_na=False)
    return {
        table: dict(zip(rows["column"], rows["value_type"]))
        for table, rows in columns.groupby("table", sort=False)
    }


def read(path, types):
    """One table, with these types of its columns."""
    return pd.read_csv(
        path,
        dtype={name: DTYPES[word] for name, word in types.items()},
        # An empty field is a missing value, but for a text; nothing else is one.
        keep_default_na=False,
        na_values={name: [""] for name, word in types.items() if word != "text"},
    )


def load(folder):
    """Every table of a results folder by its name: `load(folder)["trials"]`."""
    types = columns_of(folder)
    paths = {table: path_of(folder, table) for table in types}
    return {
        table.removesuffix(".csv"): read(path, types[table])
        for table, path in paths.items()
        if path is not None
    }


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: load.py FOLDER")
    try:
        tables = load(sys.argv[1])
    except FileNotFoundError as error:
        sys.exit(f"load.py: {error}")
    for name, table in tables.items():
        print(f"{name}: {table.shape[0]} rows, {table.shape[1]} columns")
    keys = ["variant", "point", "backend", "client_region", "operation"]
    medians = tables["latency"].groupby(keys, sort=False)["latency_ns_p50"].median()
    print("\nlatency_ns_p50, the median over the trials:")
    print(medians.reset_index().to_string(index=False))


if __name__ == "__main__":
    main()
