//! Output that is compressed, as the end of its name says.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Output that may be compressed.
pub enum Packed<W: Write> {
    /// As it is.
    Plain(W),
    /// By gzip.
    Gzip(GzEncoder<W>),
    /// By zstd.
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Packed<W> {
    /// Output to a file of this name.
    pub fn new(path: Option<&Path>, output: W) -> io::Result<Packed<W>> {
        let extension = path.and_then(|path| path.extension()?.to_str());
        Ok(match extension {
            Some("gz") => Packed::Gzip(GzEncoder::new(output, Compression::default())),
            Some("zst") => Packed::Zstd(zstd::Encoder::new(output, 3)?),
            _ => Packed::Plain(output),
        })
    }

    /// All was written.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Packed::Plain(mut output) => output.flush(),
            Packed::Gzip(output) => output.finish()?.flush(),
            Packed::Zstd(output) => output.finish()?.flush(),
        }
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packed::Plain(output) => output.write(bytes),
            Packed::Gzip(output) => output.write(bytes),
            Packed::Zstd(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packed::Plain(output) => output.flush(),
            Packed::Gzip(output) => output.flush(),
            Packed::Zstd(output) => output.flush(),
        }
    }
}
