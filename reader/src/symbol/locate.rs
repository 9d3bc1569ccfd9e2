//! The files of a module: its own, and those with its debug information.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::Object;

use super::elf::{Elf, Image, build_id, has_debug_info, loaded};
use super::fetch::fetch;
use super::module::{BuildId, Module};
use super::options::{SymbolOptions, below};
use super::state::{Reason, Rejected, State};

/// The suffix that the kernel adds to the path of a deleted file.
const DELETED: &[u8] = b" (deleted)";

/// The files of a module that are there, and are the right ones.
#[derive(Default)]
pub(super) struct Found {
    /// The file that the process had mapped.
    pub own: Option<Image>,
    /// Its debug information, where that is in another file.
    pub debug: Option<Image>,
    /// The part that `dwz` has moved out of the debug information.
    pub shared: Option<Image>,
    /// The part that `-gsplit-dwarf` has put outside of the debug information.
    pub package: Option<Image>,
    pub rejected: Vec<Rejected>,
}

/// A path for people.
pub(super) fn readable(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Looks for the files of a module. If there is not a single one, the state says why.
pub(super) fn locate(module: &Module, options: &SymbolOptions) -> (Found, Option<State>) {
    let mut search = Search { module, options, found: Found::default() };
    let missing = search.own().err();
    search.debug();
    search.shared();
    if let Some(own) = &search.found.own {
        let mut package = own.path.as_os_str().to_owned();
        package.push(".dwp");
        search.found.package = Image::open(package.as_ref()).ok();
    }
    let mut found = search.found;
    let state = missing.filter(|_| found.own.is_none() && found.debug.is_none());
    if let Some(State::Differs { file, .. }) = &state {
        // Once is enough.
        found.rejected.retain(|rejected| rejected.file != *file);
    }
    (found, state)
}

struct Search<'a> {
    module: &'a Module,
    options: &'a SymbolOptions,
    found: Found,
}

impl Search<'_> {
    /// Finds the module itself.
    fn own(&mut self) -> Result<(), State> {
        let path = &self.module.path;
        if path.is_relative() && self.module.build_id.is_none() {
            let error = "not an absolute path".to_owned();
            return Err(State::Missing { file: readable(path), error });
        }
        let name = path.as_os_str().as_bytes().strip_suffix(DELETED);
        let mut reason = match self.try_own(self.options.in_root(path)) {
            Err(reason) => reason,
            Ok(()) => return Ok(()),
        };
        let Some(id) = &self.module.build_id else {
            let file = readable(path);
            return Err(if name.is_some() { State::Deleted { file } } else { reason });
        };
        let name = name.map_or(path.as_path(), |name| Path::new(OsStr::from_bytes(name)));
        let mut others = Vec::new();
        if name != path {
            others.push(self.options.in_root(name));
        }
        for directory in &self.options.debug_dirs {
            others.push(below(directory, name));
            others.extend(name.file_name().map(|name| directory.join(name)));
        }
        others.extend(self.options.all_debug_dirs().map(|it| by_id(&it, id, "")));
        for other in others {
            match self.try_own(other) {
                Ok(()) => return Ok(()),
                Err(State::Missing { .. }) => {}
                Err(other) if matches!(reason, State::Missing { .. }) => reason = other,
                Err(_) => {}
            }
        }
        let fetched = fetch(self.options, "executable", id);
        fetched.and_then(|file| self.try_own(file).ok()).ok_or(reason)
    }

    /// Takes a file as the module, if it is that.
    fn try_own(&mut self, path: PathBuf) -> Result<(), State> {
        let file = readable(&path);
        let image = match Image::open(&path) {
            Ok(image) => image,
            Err(error) => return Err(State::Missing { file, error: error.to_string() }),
        };
        let elf = match image.elf() {
            Ok(elf) => elf,
            Err(error) => return Err(State::Unreadable { file, error }),
        };
        let (found, expected) = (build_id(&elf), self.module.build_id.clone());
        if found != expected {
            let reason = Reason::BuildId { found: found.clone(), expected: expected.clone() };
            self.found.rejected.push(Rejected { file: file.clone(), reason });
            return Err(State::Differs { file, found, expected });
        }
        if found.is_none() {
            // Whoever names another root has put the files there after the process had ended.
            let time = image.time(self.options.sysroot.is_none());
            if self.module.seen.is_some_and(|seen| time > seen) {
                return Err(State::Changed { file });
            }
            let loaded = loaded(&elf);
            let holds = |address: u64| {
                let offset = address.wrapping_sub(self.module.bias);
                loaded.start <= offset && offset <= loaded.end
            };
            if !self.module.ranges.iter().all(|range| holds(range.start) && holds(range.end)) {
                return Err(State::Elsewhere { file });
            }
        }
        self.found.own = Some(image);
        Ok(())
    }

    /// Finds the debug information, if the module itself has none.
    fn debug(&mut self) {
        let own = self.found.own.take();
        let elf = own.as_ref().and_then(|own| own.elf().ok());
        if !elf.as_ref().is_some_and(has_debug_info) {
            self.found.debug =
                self.debug_by_id().or_else(|| self.debug_by_link(own.as_ref()?, elf.as_ref()?));
            if self.found.debug.is_none()
                && let Some(id) = &self.module.build_id
                && let Some(fetched) = fetch(self.options, "debuginfo", id)
            {
                self.found.debug = self.try_debug(&fetched, Some(id), None);
            }
        }
        drop(elf);
        self.found.own = own;
    }

    fn debug_by_id(&mut self) -> Option<Image> {
        let id = self.module.build_id.as_ref()?;
        let directories: Vec<_> = self.options.all_debug_dirs().collect();
        let mut files = directories.iter().map(|directory| by_id(directory, id, ".debug"));
        files.find_map(|file| self.try_debug(&file, Some(id), None))
    }

    fn debug_by_link(&mut self, own: &Image, elf: &Elf<'_>) -> Option<Image> {
        let (name, checksum) = elf.gnu_debuglink().ok()??;
        // The name of a file, not a way to one.
        let name = Path::new(OsStr::from_bytes(name)).file_name()?;
        let own_path = own.path.canonicalize().unwrap_or_else(|_| own.path.clone());
        let mut files = Vec::new();
        if let Some(directory) = own_path.parent() {
            files.extend([directory.join(name), directory.join(".debug").join(name)]);
        }
        let in_root = self.module.path.parent();
        for debug in self.options.all_debug_dirs() {
            files.extend(in_root.map(|directory| below(&debug, directory).join(name)));
            files.extend(own_path.parent().map(|directory| below(&debug, directory).join(name)));
            files.push(debug.join(name));
        }
        files.retain(|file| *file != own_path);
        files.dedup();
        let id = build_id(elf);
        files.iter().find_map(|file| self.try_debug(file, id.as_ref(), Some(checksum)))
    }

    /// A file with debug information, if it has this build ID and this checksum.
    fn try_debug(
        &mut self,
        path: &Path,
        id: Option<&BuildId>,
        checksum: Option<u32>,
    ) -> Option<Image> {
        let image = match Image::open(path) {
            Ok(image) => Ok(image),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Err(Reason::Damaged(error.to_string())),
        };
        let checked = image.and_then(|image| {
            check(&image, id, checksum)?;
            Ok(image)
        });
        let reject = |reason| self.found.rejected.push(Rejected { file: readable(path), reason });
        checked.map_err(reject).ok()
    }

    /// Finds the file that `dwz` has made, if the debug information refers to one.
    fn shared(&mut self) {
        let Some(image) = self.found.debug.as_ref().or(self.found.own.as_ref()) else { return };
        let elf = image.elf().ok();
        let link = elf.and_then(|elf| elf.gnu_debugaltlink().ok()?);
        let Some((path, id)) = link.and_then(|(path, id)| Some((path, BuildId::new(id)?))) else {
            return;
        };
        let path = Path::new(OsStr::from_bytes(path));
        let mut files = vec![match image.path.parent() {
            Some(directory) if path.is_relative() => directory.join(path),
            _ => self.options.in_root(path),
        }];
        files.extend(self.options.all_debug_dirs().map(|it| by_id(&it, &id, ".debug")));
        self.found.shared = files.iter().find_map(|it| self.try_debug(it, Some(&id), None));
    }
}

fn check(image: &Image, id: Option<&BuildId>, checksum: Option<u32>) -> Result<(), Reason> {
    let found = build_id(&image.elf().map_err(Reason::Damaged)?);
    // Without a checksum the ID is all that tells.
    if found.as_ref() != id && (found.is_some() || checksum.is_none()) {
        return Err(Reason::BuildId { found, expected: id.cloned() });
    }
    match checksum {
        Some(expected) if image.checksum() != expected => {
            Err(Reason::Checksum { found: image.checksum(), expected })
        }
        _ => Ok(()),
    }
}

/// The place of a build in a directory of builds.
fn by_id(directory: &Path, id: &BuildId, suffix: &str) -> PathBuf {
    let digits = id.to_string();
    let (first, rest) = digits.split_at(2);
    directory.join(".build-id").join(first).join(format!("{rest}{suffix}"))
}
