//! `parquet`: tables of events, stacks, frames, processes and threads, in a directory, for DuckDB,
//! pandas, Polars, Spark and others.
//!
//! The law of the modules:
//!
//! ```text
//! column              a column of a table, and the file of the table
//! frames              the tables of stacks and of their frames
//! processes           the tables of processes and threads
//! events              the table of events
//! ```

mod column;
mod events;
mod frames;
mod processes;

pub use events::Parquet;
