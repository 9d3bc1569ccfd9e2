//! Programs in C, C++ and assembler, compiled into libraries that the test loads.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::event;

/// A source of `tests/programs`.
fn path_of(source: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source)
}

/// Compiles a program of `tests/programs` with these options into a directory.
pub fn compile(directory: &Path, source: &str, options: &[&str], name: &str) -> PathBuf {
    let source = path_of(source);
    let compiler = if source.extension().is_some_and(|it| it == "cpp") { "g++" } else { "gcc" };
    let library = directory.join(name);
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-g0", "-fno-lto", "-o"])
        .arg(&library)
        .arg(&source)
        .args(options)
        .status()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(status.success(), "{compiler} {}", source.display());
    library
}

/// Handlers of signals are the process's: programs that set some run one after the other.
static HANDLERS: Mutex<()> = Mutex::new(());

/// A loaded program.
pub struct Program {
    library: *mut c_void,
    /// As long as this one is there, no other one sets handlers.
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Program {
    /// Compiles and loads, and gives it the event.
    pub fn new(source: &str, options: &[&str]) -> Program {
        let directory = tempfile::tempdir().unwrap();
        let program = compile(directory.path(), source, options, "program.so");
        let text = std::fs::read_to_string(path_of(source)).unwrap();
        let sets_handlers = text.contains("sigaction(");
        let alone = || HANDLERS.lock().unwrap_or_else(PoisonError::into_inner);
        Program { _alone: sets_handlers.then(alone), ..Program::load(&program) }
    }

    pub fn load(path: &Path) -> Program {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: a library of ours.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{} cannot be loaded", path.display());
        let program = Program { library, _alone: None };
        let place = program.symbol(c"event").cast::<unsafe extern "C" fn()>();
        // SAFETY: a variable of the program, of this type.
        unsafe { *place = event };
        program
    }

    pub fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: a handle of `dlopen`.
        let symbol = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?}");
        symbol
    }

    /// Calls a function of two numbers.
    pub fn call(&self, name: &CStr, a: u64, b: u64) -> u64 {
        let function = self.symbol(name);
        // SAFETY: functions that are called have this type.
        let function: extern "C" fn(u64, u64) -> u64 = unsafe { std::mem::transmute(function) };
        function(a, b)
    }

    /// Unloads it.
    pub fn close(self) {
        // SAFETY: nobody uses it any more.
        assert_eq!(unsafe { libc::dlclose(self.library) }, 0);
    }
}
