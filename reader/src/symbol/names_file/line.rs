//! The lines of a file of names, as JSON.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::symbol::module::{BuildId, CodeAddress, JitProcess, Module};
use crate::symbol::names::Frame;
use crate::symbol::state::{Rejected, State};

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u64 = 1;

/// Any line. Which kind it is follows from its members.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mallook_symbols: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub about: Option<Cow<'a, str>>,

    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub module: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<BuildId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    #[serde(skip_serializing_if = "is_false")]
    pub unverified: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,

    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub at: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_false")]
    pub interrupted: bool,
    #[serde(borrow, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameLine<'a>>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Line<'_> {
    pub(super) fn parse(text: &[u8]) -> Result<Line<'_>, String> {
        // An array would do, too.
        if text.first() != Some(&b'{') {
            return Err("no object".to_owned());
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }
}

/// How much a whole file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub modules: u64,
    pub addresses: u64,
}

/// A frame.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FrameLine<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub function: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub file: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    #[serde(skip_serializing_if = "is_false")]
    pub inlined: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> From<&'a Frame> for FrameLine<'a> {
    fn from(frame: &'a Frame) -> FrameLine<'a> {
        let location = frame.location.as_ref();
        FrameLine {
            function: frame.function.as_deref().map(Cow::from),
            offset: frame.offset,
            file: location.map(|it| Cow::from(&*it.file)),
            line: location.and_then(|it| it.line),
            column: location.and_then(|it| it.column),
            inlined: frame.inlined,
        }
    }
}

/// The owner of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Module(PathBuf, Option<BuildId>),
    /// A process, and the nanoseconds at which it started.
    Jit(u32, Option<u64>),
}

impl From<&Module> for Owner {
    fn from(module: &Module) -> Owner {
        Owner::Module(module.path.clone(), module.build_id.clone())
    }
}

impl From<&JitProcess> for Owner {
    fn from(process: &JitProcess) -> Owner {
        let nanos =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).ok()?.as_nanos().try_into().ok();
        Owner::Jit(process.pid, process.started.and_then(nanos))
    }
}

impl Owner {
    pub(super) fn write<'a>(&'a self, line: &mut Line<'a>) {
        match self {
            Owner::Module(path, build_id) => {
                line.module = Some(path.to_string_lossy());
                line.path_bytes = path.to_str().is_none().then(|| hexadecimal(path).into());
                line.build_id = build_id.clone();
            }
            Owner::Jit(pid, started) => (line.jit, line.started) = (Some(*pid), *started),
        }
    }

    pub(super) fn read(line: &Line<'_>) -> Option<Owner> {
        if let Some(pid) = line.jit {
            return Some(Owner::Jit(pid, line.started));
        }
        let path = match &line.path_bytes {
            Some(digits) => from_hexadecimal(digits)?,
            None => PathBuf::from(&**line.module.as_ref()?),
        };
        Some(Owner::Module(path, line.build_id.clone()))
    }
}

/// An address, and whether it was interrupted.
pub(super) type Key = (u64, bool);

/// The key of an address whose offset this is.
pub(super) fn key(address: CodeAddress, offset: u64) -> Key {
    (offset, address.interrupted)
}

/// `0x`, and digits.
pub(super) fn from_at(at: &str) -> Option<u64> {
    let digits = at.strip_prefix("0x").filter(|it| !it.starts_with('+'))?;
    u64::from_str_radix(digits, 16).ok()
}

fn hexadecimal(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal(digits: &str) -> Option<PathBuf> {
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    Some(OsStr::from_bytes(&bytes?).into())
}
