"""tables.py DIRECTORY: the figures of the tables of mallook export --to parquet, as each reader has them.

A line of JSON a reader; `READER MISSING` where one is not installed."""

import json
import sys

DIRECTORY = sys.argv[1]
EVENTS = f"{DIRECTORY}/events.parquet"
FIGURES = """
    select count(*) filter (change_blocks = 1), sum(change_bytes) filter (change_blocks = 1),
           count(*) filter (change_blocks = -1), sum(change_blocks), sum(change_bytes),
           count(*) filter (failed), max(live)
    from (select *, sum(change_bytes) over (order by seq, -change_blocks desc) as live from events)
"""
PLACES = """
    select f.function, sum(e.change_bytes)
    from events e join stacks s on s.stack = e.stack and s.position = 0
         join frames f on f.frame = s.frame and f.position = 0
    where e.change_blocks = 1 group by 1 order by 2 desc, 1
"""


def of_duckdb():
    import duckdb

    for name in ["events", "stacks", "frames", "processes", "threads"]:
        duckdb.sql(f"create view {name} as select * from '{DIRECTORY}/{name}.parquet'")
    types = {row[0]: row[1] for row in duckdb.sql("describe events").fetchall()}
    assert types.pop("function") == "VARCHAR" and types.pop("failed") == "BOOLEAN", types
    assert set(types.values()) == {"BIGINT", "INTEGER", "UBIGINT"}, types
    places = duckdb.sql(PLACES).fetchall()
    assert duckdb.sql("select count(*) from threads").fetchall()[0][0] >= 1
    process = duckdb.sql("select executable, is_complete from processes").fetchall()[0]
    figures = [int(value) for value in duckdb.sql(FIGURES).fetchall()[0]]
    return {"figures": figures, "places": places, "process": process}


def of_pandas():
    import pandas

    events = pandas.read_parquet(EVENTS)
    kinds = {name: str(kind) for name, kind in events.dtypes.items()}
    assert kinds.pop("function") in ("object", "str", "string") and kinds.pop("failed") == "bool", kinds
    assert set(kinds.values()) == {"int64", "int32", "uint64"}, kinds
    born, dead = events[events.change_blocks == 1], events[events.change_blocks == -1]
    # A death and its birth have the number of the block.
    pairs = dead.merge(born, on=["trace", "block"], suffixes=("_death", "_birth"))
    assert len(pairs) == len(dead) and (pairs.address_death == pairs.address_birth).all()
    assert (pairs.time_ns_death - pairs.time_ns_birth == pairs.lifetime_ns_death).all()
    live = events.change_bytes.cumsum()
    figures = [len(born), born.change_bytes.sum(), len(dead), events.change_blocks.sum()]
    figures += [events.change_bytes.sum(), events.failed.sum(), live.max()]
    return {"figures": [int(value) for value in figures]}


def of_polars():
    import polars

    events = polars.read_parquet(EVENTS)
    born = events.filter(polars.col("change_blocks") == 1)
    figures = [len(born), born["change_bytes"].sum(), len(events.filter(polars.col("change_blocks") == -1))]
    figures += [events["change_blocks"].sum(), events["change_bytes"].sum(), events["failed"].sum()]
    return {"figures": [int(value) for value in figures + [events["change_bytes"].cum_sum().max()]]}


for reader in ["duckdb", "pandas", "polars"]:
    try:
        __import__(reader)
        __import__("pyarrow")
    except ImportError:
        print(f"{reader} MISSING")
        continue
    print(json.dumps({"reader": reader, **globals()[f"of_{reader}"]()}))
