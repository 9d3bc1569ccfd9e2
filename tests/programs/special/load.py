"""load.py CSV...: each file has the same exact types in every reader, without an option.

Prints `READER MISSING` where a reader is not installed, and fails where one reads anything else."""

import csv
import sqlite3
import sys

INTEGERS = ["time_ns", "pid", "tid", "size", "alignment", "start_ns", "duration_ns", "trace", "seq", "failed"]
TEXTS = ["op", "address", "old_address"]
# Of a table of call stacks.
FRAME_INTEGERS = ["stack", "frame", "inlined", "line", "column"]
FRAME_TEXTS = ["kind", "function", "file", "module", "offset", "address"]


def agree(reader, path, expected, found):
    if found != expected:
        sys.exit(f"{reader} {path}: expected {expected}, found {found}")


def of_pandas(path):
    import pandas

    table = pandas.read_csv(path)
    types = {name: str(kind) for name, kind in table.dtypes.items()}
    is_text = {name for name, kind in types.items() if kind in ("object", "str", "string")}
    integers = {name for name, kind in types.items() if kind == "int64"}
    return integers, is_text, {name: [int(v) for v in table[name]] for name in integers}


def of_duckdb(path):
    import duckdb

    types = {row[0]: row[1] for row in duckdb.sql(f"describe select * from '{path}'").fetchall()}
    integers = {name for name, kind in types.items() if kind == "BIGINT"}
    texts = {name for name, kind in types.items() if kind == "VARCHAR"}
    column = lambda name: [row[0] for row in duckdb.sql(f"select {name} from '{path}'").fetchall()]
    return integers, texts, {name: column(name) for name in integers}


def of_polars(path):
    import polars

    table = polars.read_csv(path)
    integers = {name for name, kind in table.schema.items() if kind == polars.Int64}
    texts = {name for name, kind in table.schema.items() if kind == polars.String}
    return integers, texts, {name: table[name].to_list() for name in integers}


def of_pyarrow(path):
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    integers = {field.name for field in table.schema if str(field.type) == "int64"}
    texts = {field.name for field in table.schema if str(field.type) == "string"}
    return integers, texts, {name: table[name].to_pylist() for name in integers}


def of_sqlite(path):
    with open(path) as file:
        rows = csv.reader(file)
        names = next(rows)
        base = sqlite3.connect(":memory:")
        columns = ", ".join(f"{name} {'TEXT' if name in TEXTS + FRAME_TEXTS else 'INTEGER'}" for name in names)
        base.execute(f"create table events ({columns})")
        base.executemany(f"insert into events values ({', '.join('?' * len(names))})", rows)
    kinds = lambda name: {row[0] for row in base.execute(f"select distinct typeof({name}) from events")}
    integers = {name for name in names if kinds(name) == {"integer"}}
    texts = {name for name in names if kinds(name) == {"text"}}
    column = lambda name: [row[0] for row in base.execute(f"select {name} from events")]
    return integers, texts, {name: column(name) for name in integers}


readers = {"pandas": of_pandas, "duckdb": of_duckdb, "polars": of_polars, "pyarrow": of_pyarrow, "sqlite3": of_sqlite}
for path in sys.argv[1:]:
    with open(path) as file:
        rows = list(csv.DictReader(file))
    is_table = "frame" in rows[0]
    more = [name for name in ["detail", "stack"] if name in rows[0]]
    integers = set(FRAME_INTEGERS if is_table else INTEGERS + more)
    texts = set(FRAME_TEXTS if is_table else TEXTS)
    values = {name: [int(row[name]) for row in rows] for name in integers}
    for name, read in readers.items():
        try:
            found = read(path)
        except ImportError:
            print(name, "MISSING")
            continue
        # Some take hexadecimal numbers for numbers, which is well as long as they always do.
        for column in {"address", "old_address", "offset"} & found[0]:
            agree(name, path, [int(row[column], 16) for row in rows], found[2][column])
            found[0].remove(column)
            found[1].add(column)
        agree(name, path, (integers, texts), found[:2])
        for column in integers:
            if found[2][column] != values[column]:
                sys.exit(f"{name} {path}: the values of {column} are not exact")
