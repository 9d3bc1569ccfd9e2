//! `synthetic EVENTS THREADS PATH`: writes a trace that no process has written.

use std::fs::File;
use std::io::BufWriter;

use anyhow::{Context, Result, bail};
use mallook_benches::synthetic::Shape;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [events, threads, path] = &arguments[..] else { bail!("usage: EVENTS THREADS PATH") };
    let shape = Shape {
        events: events.parse().with_context(|| events.clone())?,
        threads: threads.parse().with_context(|| threads.clone())?,
    };
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let moments = shape.write(&mut file)?;
    file.into_inner()?.sync_all()?;
    println!("{moments} moments");
    Ok(())
}
