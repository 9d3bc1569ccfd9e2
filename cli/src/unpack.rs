//! Traces that are compressed, or come through a pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, IsTerminal, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::bail;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use mallook_reader::{Error, Shown, Source, Trace};
use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// Bytes of a trace that is no file, since they stay in memory: 4 GiB.
const MOST: u64 = 4 << 30;
/// The largest window of zstd, which its own program accepts: 128 MiB.
const MOST_WINDOW: u64 = 1 << 27;

/// Time for which a pipe may have no writer, and the time between two looks.
const MOST_WAIT: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(10);

/// How a trace is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Xz,
}

/// Opens all traces of a file, a pipe, or the standard input as `-`; compressed or not.
pub fn open(path: &Path) -> Result<Vec<Trace<'static>>, Error> {
    let io = |verb| move |source| Error::Io { verb, path: path.to_owned(), source };
    if path == Path::new("-") {
        let input = io::stdin();
        if input.is_terminal() {
            return Err(io("read")(io::Error::other("the standard input is a terminal")));
        }
        return from_reader(path, &mut input.lock());
    }
    // Opening a pipe must not wait for its writer for ever.
    let mut options = File::options();
    let mut file =
        options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(io("open"))?;
    let found = file.metadata().map_err(io("read"))?;
    if found.is_dir() {
        return Err(io("read")(io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() {
        let start = wait_for_writer(&file).map_err(io("read"))?;
        return from_reader(path, &mut Cursor::new(start).chain(file));
    }
    let (packing, _) = packing(&mut file).map_err(io("read"))?;
    match packing {
        None => Trace::open_all(path),
        Some(_) => {
            file.rewind().map_err(io("read"))?;
            from_reader(path, &mut file)
        }
    }
}

/// Refuses what no process can be writing a trace to, and be followed: only files grow in place.
pub fn refuse_to_follow(path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        bail!("-: only files can be followed; mallook dump reads the standard input");
    }
    // An error, also that the file is not there, is said where it is opened to be read.
    let Ok(found) = path.metadata() else { return Ok(()) };
    if found.is_dir() {
        bail!("{}: it is a directory; mallook follow takes files, and prefixes", Shown(path));
    }
    if !found.is_file() {
        bail!("{}: only files can be followed; mallook dump reads pipes", Shown(path));
    }
    let start = File::open(path).and_then(|mut file| packing(&mut file));
    if let Ok((Some(_), _)) = start {
        bail!("{}: it is compressed, so nobody writes to it; mallook dump reads it", Shown(path));
    }
    Ok(())
}

/// Waits for a pipe to have a writer, for a while; then reading waits as usual. The first byte, if it
/// had to be read to find that out.
fn wait_for_writer(mut file: &File) -> io::Result<Vec<u8>> {
    let mut first = [0];
    let mut waited = Duration::ZERO;
    let start = loop {
        match file.read(&mut first) {
            Ok(0) if waited < MOST_WAIT => {
                thread::sleep(WAIT);
                waited += WAIT;
            }
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody writes to it")),
            Ok(_) => break first.to_vec(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Vec::new(),
            Err(error) => return Err(error),
        }
    };
    // SAFETY: the descriptor is open; without O_NONBLOCK, no other flag can be changed on it.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(start),
    }
}

fn from_reader(path: &Path, reader: &mut dyn Read) -> Result<Vec<Trace<'static>>, Error> {
    let (packing, start) = packing(reader).map_err(|source| Error::Io {
        verb: "read",
        path: path.to_owned(),
        source,
    })?;
    let whole = start.chain(reader);
    let source = match packing {
        None => Source::from_reader(path, whole, MOST),
        Some(Packing::Gzip) => {
            Source::from_reader(path, MultiGzDecoder::new(BufReader::new(whole)), MOST)
        }
        Some(Packing::Zstd) => Source::from_reader(path, Frames::new(BufReader::new(whole)), MOST),
        Some(Packing::Xz) => {
            Source::from_reader(path, XzReader::new(BufReader::new(whole), true), MOST)
        }
    };
    Trace::all(path, source?)
}

/// How the bytes are compressed, and the first ones, which were read.
fn packing(reader: &mut dyn Read) -> io::Result<(Option<Packing>, Cursor<Vec<u8>>)> {
    let mut start = Vec::new();
    reader.take(6).read_to_end(&mut start)?;
    let packing = match &start[..] {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Packing::Xz),
        _ => None,
    };
    Ok((packing, Cursor::new(start)))
}

/// The content of a zstd file, of one frame or several.
struct Frames<R> {
    packed: R,
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Frames<R> {
    fn new(packed: R) -> Frames<R> {
        Frames { packed, frame: None }
    }

    /// Starts the next frame; `false` if there is none.
    fn start(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            let mut frame = FrameDecoder::new();
            frame.set_max_window_size(MOST_WINDOW);
            match frame.init(&mut self.packed) {
                Ok(()) => {
                    self.frame = Some(frame);
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.packed).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(invalid(&error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.frame.is_none() && !self.start()? {
                return Ok(0);
            }
            let Some(frame) = &mut self.frame else { return Ok(0) };
            while frame.can_collect() == 0 && !frame.is_finished() {
                frame
                    .decode_blocks(&mut self.packed, UptoBlocks(1))
                    .map_err(|error| invalid(&error))?;
            }
            let count = frame.read(buffer)?;
            if count != 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.frame = None;
        }
    }
}

fn invalid(error: &FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
