//! Makes a seed of each trace: `cargo run --bin seed -- DIRECTORY TRACE...`

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("usage: seed DIRECTORY TRACE...");
    for (number, trace) in arguments.enumerate() {
        let short = mallook_fuzz::shorten(&std::fs::read(&trace)?);
        std::fs::write(Path::new(&directory).join(format!("seed-{number}")), short)?;
    }
    Ok(())
}
