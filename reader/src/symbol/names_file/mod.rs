//! Names that travel with a trace, for machines that do not have the files of its modules.
//!
//! The file is text: JSON, one object a line.
//!
//! ```text
//! {"mallook_symbols":1,"about":"mallook.out.2052.1795642905.0"}
//! {"module":"/usr/bin/program","build_id":"0fa0…","state":{"kind":"lines","file":"/usr/bin/program"}}
//! {"at":"0x1193","frames":[{"function":"push","file":"/src/a.h","line":7,"column":3,"inlined":true},
//!                          {"function":"main","file":"/src/a.c","line":12,"column":5}]}
//! {"at":"0x11b0","interrupted":true,"frames":[{"function":"malloc","offset":17}]}
//! {"jit":2052,"started":1795642905000000000,"state":{"kind":"jit","file":"/tmp/perf-2052.map"}}
//! {"at":"0x7f2d40001193","frames":[{"function":"JS:*f /srv/a.js:1:1","offset":275}]}
//! {"end":{"modules":2,"addresses":3}}
//! ```
//!
//! * The first line has the version, and for people the traces that the names belong to.
//! * A module has the path and the build ID that the process saw; a path that is not UTF-8 stands in
//!   `path_bytes`, in hexadecimal. `unverified` and `rejected` are left out where false and empty.
//! * An address belongs to the module before it. `at` is the address in the file, a return address
//!   unless `interrupted`; in code of a process, the address itself. Frames are innermost first, all
//!   members may be missing.
//! * The last line counts. A file without it was not written to its end.
//! * A reader skips lines and members that it does not know. A change that would deceive it makes a
//!   new version.
//!
//! # The law of the modules
//!
//! ```text
//! line                     a line as JSON
//! writer reader            both directions
//! ```

mod line;
mod reader;
mod writer;

pub use reader::{NamesError, NamesFile};
pub use writer::NamesWriter;
