//! Functions, files and lines of the addresses of code.
//!
//! ```
//! use mallook_reader::symbol::{CodeAddress, Module, Symbolizer};
//!
//! # let (path, build_id) = ("/usr/bin/program".into(), None);
//! let range = 0x5555_5555_4000..0x5555_5556_0000;
//! let bias = range.start;
//! let module = Module { path, build_id, bias, ranges: vec![range], generation: 0, seen: None };
//! let addresses = [CodeAddress::returned_to(0x5555_5555_5193)];
//! let names = Symbolizer::default().symbolize(&module, &addresses);
//! println!("{}: {}", module.path.display(), names.state);
//! for frame in &names.resolved[0].frames {
//!     println!("{} {:?}", frame.function.as_deref().unwrap_or("?"), frame.location);
//! }
//! ```
//!
//! A module is looked for under its path, and its debug information in it, by its build ID in
//! `/usr/lib/debug/.build-id` and by its `.gnu_debuglink`. A file with another build ID gives no
//! names; neither does one without a build ID that was changed after the module had been seen, or
//! that is shorter. A symbol names only the bytes that it says are its own. What was found instead
//! is said in [`State`] and [`Rejected`].
//!
//! [`NamesFile`] keeps names for machines that do not have the files.
//!
//! # The law of the modules
//!
//! A module uses only modules of rows above its own, and modules to its left.
//!
//! ```text
//! module state names          addresses; how much is known; functions and lines
//! options                     where to look
//! interner demangle lines     texts
//! elf table                   a file, its symbols
//! sections guard split dwarf  debug information
//! fetch locate                the files of a module
//! perf_map                    functions that were made at run time
//! symbolizer                  addresses to names
//! names_file                  names for other machines
//! ```

mod demangle;
mod dwarf;
mod elf;
mod fetch;
mod guard;
mod interner;
mod lines;
mod locate;
mod module;
mod names;
mod names_file;
mod options;
mod perf_map;
mod sections;
mod split;
mod state;
mod symbolizer;
mod table;

pub use module::{BuildId, CodeAddress, JitProcess, Module};
pub use names::{Frame, Location, Names, Resolved};
pub use names_file::{NamesError, NamesFile, NamesWriter};
pub use options::SymbolOptions;
pub use state::{Reason, Rejected, State};
pub use symbolizer::Symbolizer;
