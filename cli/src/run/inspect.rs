//! A look at the program's ELF file: is there a reason why little will be recorded?
//!
//! Only a hint: whatever cannot be read or understood is no obstacle.

use std::env;
use std::ffi::{CString, OsStr};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;

use object::elf::{
    DT_NEEDED, FileHeader64, PT_INTERP, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STB_LOCAL, STT_FUNC,
    Sym64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache, ReadRef};

/// The kernel follows this many `#!` lines.
const MAX_INTERPRETERS: usize = 5;

/// Why little or nothing of a program will be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel starts it without a loader.
    Static,
    /// It gains rights by being executed.
    Privileged,
    /// It is for another processor than the library.
    Foreign,
    /// It brings its own `malloc`, for itself alone. Of one that comes before every library's, ours
    /// speaks, in any process that it is loaded into.
    OwnMalloc,
    /// It carries an allocator whose functions have names of their own: this one is one of them.
    Bundled(&'static str),
    /// It needs a sanitizer's runtime, which refuses to start behind another library.
    Sanitized,
}

impl Obstacle {
    /// The program would not even start.
    pub fn is_fatal(self) -> bool {
        self == Obstacle::Sanitized
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Obstacle::Bundled(name) => {
                return write!(
                    f,
                    "carries an allocator of its own ({name}): what goes to that is not recorded (a \
                     build with the system's is)"
                );
            }
            Obstacle::Static => {
                "statically linked, so nothing can be preloaded and nothing will be recorded"
            }
            Obstacle::Privileged => {
                "gains rights when started, so the loader ignores LD_PRELOAD and nothing will be \
                 recorded"
            }
            Obstacle::Foreign => {
                "made for another processor or word size than the library, so nothing will be \
                 recorded"
            }
            Obstacle::OwnMalloc => {
                "defines its own malloc, so little of what it allocates will be recorded"
            }
            Obstacle::Sanitized => {
                "built with a sanitizer, which takes the place of malloc and aborts behind any \
                 preloaded library: not started"
            }
        };
        f.write_str(text)
    }
}

/// Why little or nothing of the program, named as in a shell, will be recorded by this library.
pub fn obstacle(program: &OsStr, library: &Path) -> Option<Obstacle> {
    let path = executable(program)?;
    let (file, library) = (File::open(&path).ok()?, File::open(library).ok()?);
    if is_privileged(&path, &file) {
        return Some(Obstacle::Privileged);
    }
    if fits(&file)? != fits(&library)? {
        return Some(Obstacle::Foreign);
    }
    let cache = ReadCache::new(file);
    in_elf(&cache)
}

/// The executable that is run for a program, named as in a shell.
pub fn executable(program: &OsStr) -> Option<PathBuf> {
    interpreted(search(program)?)
}

/// The allocator that an executable which was run carries along.
pub fn own_allocator(path: &Path) -> Option<Obstacle> {
    let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    let found = in_elf(&ReadCache::new(file))?;
    matches!(found, Obstacle::OwnMalloc | Obstacle::Bundled(_)).then_some(found)
}

/// Finds a program as execvp(3) does.
pub fn search(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| {
        candidate.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
    })
}

/// The executable that the kernel loads for this one: itself, or what its `#!` line names.
fn interpreted(mut path: PathBuf) -> Option<PathBuf> {
    for _ in 0..=MAX_INTERPRETERS {
        // Opening a pipe would wait for its writer.
        if !path.is_file() {
            return None;
        }
        let mut start = Vec::new();
        File::open(&path).ok()?.take(256).read_to_end(&mut start).ok()?;
        let Some(line) = start.strip_prefix(b"#!") else { return Some(path) };
        let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
        let name = line.split(u8::is_ascii_whitespace).next()?;
        path = OsStr::from_bytes(name).into();
    }
    None
}

/// Whether the loader will run in secure mode, in which it takes no libraries from a user.
fn is_privileged(path: &Path, file: &File) -> bool {
    // SAFETY: getuid(2) has no precondition and always succeeds.
    let user = unsafe { libc::getuid() };
    // SAFETY: getgid(2) has no precondition and always succeeds.
    let group = unsafe { libc::getgid() };
    let Ok(metadata) = file.metadata() else { return false };
    let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
    mode & libc::S_ISUID != 0 && owner.0 != user
        || mode & libc::S_ISGID != 0 && owner.1 != group
        || user != 0 && has_capabilities(path)
}

fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let name = c"security.capability";
    // SAFETY: both are strings that end in zero, and a size of 0 asks for no bytes.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), ptr::null_mut(), 0) > 0 }
}

/// Class, byte order and machine: what of an ELF file two must share to be loaded together.
fn fits(mut file: &File) -> Option<[u8; 4]> {
    let mut start = [0; 20];
    file.read_exact(&mut start).ok()?;
    match start {
        [0x7f, b'E', b'L', b'F', class, order, .., low, high] => Some([class, order, low, high]),
        _ => None,
    }
}

fn in_elf<'data>(data: impl ReadRef<'data>) -> Option<Obstacle> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    if !segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Some(Obstacle::Static);
    }
    if needs_sanitizer(header, endian, data) == Some(true) {
        return Some(Obstacle::Sanitized);
    }
    allocator_in(header, endian, data)
}

/// Functions of allocators that programs are linked with under names of their own, as those of
/// Rust's crates: jemalloc, mimalloc, tcmalloc, snmalloc and rpmalloc.
const BUNDLED: [&str; 12] = [
    "_rjem_malloc",
    "_rjem_mallocx",
    "_rjem_sdallocx",
    "je_malloc",
    "je_mallocx",
    "mi_malloc",
    "mi_malloc_aligned",
    "mi_free",
    "tc_malloc",
    "sn_rust_alloc",
    "sn_malloc",
    "rpmalloc",
];

/// Whether one of the libraries that the program names is a sanitizer's.
fn needs_sanitizer<'data>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: impl ReadRef<'data>,
) -> Option<bool> {
    let sections = header.section_headers(endian, data).ok()?;
    let (entries, strings) =
        sections.iter().find_map(|section| section.dynamic(endian, data).ok().flatten())?;
    let strings = sections.get(strings.0)?.data(endian, data).ok()?;
    let needed = entries.iter().filter(|entry| entry.d_tag(endian) == DT_NEEDED);
    Some(needed.filter_map(|entry| strings.get(entry.d_val(endian) as usize..)).any(|name| {
        [&b"libasan."[..], b"libtsan.", b"liblsan.", b"libhwasan.", b"libclang_rt."]
            .iter()
            .any(|runtime| name.starts_with(runtime))
    }))
}

/// Reads a symbol table in one piece and its strings in another: there can be millions of symbols.
fn allocator_in<'data>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: impl ReadRef<'data>,
) -> Option<Obstacle> {
    let sections = header.section_headers(endian, data).ok()?;
    let mut found = None;
    for section in sections {
        let kind = section.sh_type(endian);
        if !matches!(kind, SHT_SYMTAB | SHT_DYNSYM) {
            continue;
        }
        let symbols: &[Sym64<Endianness>] = section.data_as_array(endian, data).ok()?;
        let names = sections.get(section.sh_link(endian) as usize)?.data(endian, data).ok()?;
        for symbol in symbols.iter().filter(|symbol| symbol.st_shndx(endian) != SHN_UNDEF) {
            let name = names.get(symbol.st_name(endian) as usize..).unwrap_or_default();
            let is = |wanted: &str| {
                name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
            };
            if is("malloc") && symbol.st_bind() != STB_LOCAL {
                if kind == SHT_DYNSYM {
                    return None;
                }
                found = Some(Obstacle::OwnMalloc);
            } else if found.is_none() && symbol.st_type() == STT_FUNC {
                found = BUNDLED.into_iter().find(|name| is(name)).map(Obstacle::Bundled);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    /// The library that the loader is asked to preload; any shared file of this machine does.
    fn library() -> PathBuf {
        env::current_exe().unwrap()
    }

    fn compile(sandbox: &TempDir, source: &str, flags: &[&str]) -> Option<PathBuf> {
        let (input, output) = (sandbox.path().join("p.c"), sandbox.path().join("p"));
        fs::write(&input, source).unwrap();
        let gcc = Command::new("gcc").args(flags).arg(&input).arg("-o").arg(&output).output();
        gcc.is_ok_and(|gcc| gcc.status.success()).then_some(output)
    }

    fn of(path: &Path) -> Option<Obstacle> {
        obstacle(path.as_os_str(), &library())
    }

    #[test]
    fn ordinary_programs() {
        assert_eq!(obstacle(OsStr::new("true"), &library()), None);
        assert_eq!(of(&library()), None);
        assert_eq!(of(Path::new("/nonexistent")), None);
        assert_eq!(of(Path::new("/")), None);
        assert!(search(OsStr::new("true")).is_some_and(|path| path.ends_with("true")));
    }

    #[test]
    fn compiled_programs() {
        let sandbox = tempfile::tempdir().unwrap();
        let bundled = "__attribute__((noinline)) void *_rjem_malloc(unsigned long n) {
            static char heap[64]; return heap + n; } int main(int c, char **v) {
            return _rjem_malloc(c) == v; }";
        let own = "void *malloc(unsigned long n) { return (void *)(n & 0); } int main() {}";
        for (source, flags, expected) in [
            ("int main() {}", &[][..], None),
            ("int main() {}", &["-static"], Some(Obstacle::Static)),
            ("int main() {}", &["-static-pie"], Some(Obstacle::Static)),
            ("int main() {}", &["-fsanitize=address"], Some(Obstacle::Sanitized)),
            ("static int malloc; int main() { return malloc; }", &["-fno-builtin"], None),
            // Then the library says it.
            (own, &["-fno-builtin"], None),
            (own, &["-fno-builtin", "-fvisibility=hidden"], Some(Obstacle::OwnMalloc)),
            (own, &["-fno-builtin", "-fvisibility=hidden", "-s"], None),
            (bundled, &[], Some(Obstacle::Bundled("_rjem_malloc"))),
            (bundled, &["-O2", "-flto"], Some(Obstacle::Bundled("_rjem_malloc"))),
            (bundled, &["-s"], None),
            ("extern int mi_free; int main() { return &mi_free == 0; } int mi_free;", &[], None),
        ] {
            let Some(path) = compile(&sandbox, source, flags) else { continue };
            assert_eq!(of(&path), expected, "{source} {flags:?}");
        }
    }

    #[test]
    fn scripts_are_followed() {
        let sandbox = tempfile::tempdir().unwrap();
        let Some(program) = compile(&sandbox, "int main() {}", &["-static"]) else { return };
        let (inner, outer) = (sandbox.path().join("inner"), sandbox.path().join("outer"));
        fs::write(&inner, format!("#! {} -x\n", program.display())).unwrap();
        fs::write(&outer, format!("#!{}", inner.display())).unwrap();
        assert_eq!(of(&outer), Some(Obstacle::Static));

        fs::write(&inner, format!("#!{}\n", inner.display())).unwrap();
        assert_eq!(of(&outer), None, "a loop");
        fs::write(&inner, "#!\n").unwrap();
        assert_eq!(of(&outer), None, "no name");
    }

    #[test]
    fn damaged_and_foreign_files() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = sandbox.path().join("damaged");
        let good = fs::read("/bin/true").unwrap();
        for length in (0..good.len()).step_by(97) {
            fs::write(&path, &good[..length]).unwrap();
            of(&path);
        }
        for at in 20..400 {
            let mut bad = good.clone();
            bad[at] = 0xff;
            fs::write(&path, &bad).unwrap();
            of(&path);
        }
        let mut foreign = good;
        foreign[18] ^= 0x55;
        fs::write(&path, &foreign).unwrap();
        assert_eq!(of(&path), Some(Obstacle::Foreign));
    }

    #[test]
    fn rights_that_are_gained() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = sandbox.path().join("program");
        fs::copy("/bin/true", &path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o6755)).unwrap();
        assert_eq!(of(&path), None, "our own rights");
        // Only root can give files away.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            fs::set_permissions(&path, Permissions::from_mode(0o4755)).unwrap();
            assert_eq!(of(&path), Some(Obstacle::Privileged));
        }
    }
}
