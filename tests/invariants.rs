//! The permitted imports and exports of the built library, and its forbidden contents.

use std::collections::BTreeSet;
use std::process::Command;

use crate::artifacts::artifacts;
use crate::sandbox::have;

/// Everything that the library takes from others, all of it from libc.
const NEEDED: [&str; 17] = [
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "__cxa_finalize",
    "__errno_location",
    "__gmon_start__",
    "_dl_debug_addr",
    "_r_debug",
    "abort",
    "bcmp",
    "clock_gettime",
    "environ",
    "getauxval",
    "memcpy",
    "memmove",
    "memset",
    "pthread_self",
    "strlen",
];

const EXPORTED: [&str; 86] = [
    "_Exit",
    "_ZdaPv",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdaPvSt11align_val_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvm",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdlPvmSt11align_val_t",
    "_Znam",
    "_ZnamRKSt9nothrow_t",
    "_ZnamSt11align_val_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_Znwm",
    "_ZnwmRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_exit",
    "aligned_alloc",
    "calloc",
    "cfree",
    "chroot",
    "dallocx",
    "dlclose",
    "dlmopen",
    "dlopen",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "exit",
    "fexecve",
    "fork",
    "free",
    "free_aligned_sized",
    "free_sized",
    "initgroups",
    "malloc",
    "mallook_recorder",
    "mallocx",
    "memalign",
    "pivot_root",
    "popen",
    "posix_memalign",
    "posix_spawn",
    "posix_spawnp",
    "prctl",
    "prlimit",
    "prlimit64",
    "pthread_setname_np",
    "pvalloc",
    "quick_exit",
    "rallocx",
    "realloc",
    "reallocarray",
    "sdallocx",
    "setegid",
    "seteuid",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setrlimit64",
    "setuid",
    "syscall",
    "system",
    "unshare",
    "valloc",
    "xallocx",
    "mallook_mark",
    "mallook_pause",
    "mallook_resume",
];

/// Runs a tool on the library; `None` if it is missing.
fn tool(test: &str, tool: &str, arguments: &[&str]) -> Option<String> {
    if !have(test, &[tool]) {
        return None;
    }
    let output = Command::new(tool).args(arguments).arg(&artifacts().library).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The dynamic symbols: type and name, with the version behind an `@` where there is one.
fn dynamic_symbols(test: &str) -> Option<Vec<(char, String)>> {
    let lines = tool(test, "nm", &["-D"])?;
    let parse = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        (kind.chars().next().unwrap(), name.to_owned())
    };
    Some(lines.lines().map(parse).collect())
}

#[test]
fn only_old_symbols_of_libc_are_needed() {
    let Some(symbols) = dynamic_symbols("only_old_symbols_of_libc_are_needed") else { return };
    let needed: Vec<_> =
        symbols.iter().filter(|(kind, _)| matches!(kind, 'U' | 'v' | 'w')).collect();
    assert!(!needed.is_empty());
    for (kind, symbol) in needed {
        let (name, version) = symbol.split_once('@').unwrap_or((symbol, ""));
        assert!(NEEDED.contains(&name), "{name} is needed");
        // A weak symbol without a version may be missing.
        assert!(matches!(kind, 'v' | 'w') || !version.is_empty(), "{name} has no version");
        if let Some(version) = version.trim_start_matches('@').strip_prefix("GLIBC_") {
            let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
            let version = (numbers.next().unwrap(), numbers.next().unwrap());
            assert!(version <= (2, 17), "{symbol} is newer than glibc 2.17");
        } else {
            assert_eq!(version, "", "{symbol}");
        }
    }
}

#[test]
fn exactly_the_hooks_are_exported() {
    let Some(symbols) = dynamic_symbols("exactly_the_hooks_are_exported") else { return };
    let exported = symbols.iter().filter(|(kind, _)| !matches!(kind, 'U' | 'v' | 'w'));
    let names: BTreeSet<_> = exported.map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, EXPORTED.into_iter().collect());
}

/// `__tls_get_addr` may allocate; more static TLS than this may not fit when the library is loaded
/// beside others.
#[test]
fn thread_local_storage_is_static_and_small() {
    let test = "thread_local_storage_is_static_and_small";
    let Some(symbols) = tool(test, "nm", &["-D"]) else { return };
    assert!(!symbols.contains("__tls_get_addr"));
    let Some(segments) = tool(test, "readelf", &["-lW"]) else { return };
    let mut sizes = segments.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        // Type, offset, two addresses, size in the file, size in memory.
        (words.next()? == "TLS").then(|| words.nth(4).unwrap().to_owned())
    });
    let size = sizes.next().expect("a TLS segment");
    let size = u64::from_str_radix(size.trim_start_matches("0x"), 16).unwrap();
    assert!((1..=64).contains(&size), "{size} bytes of static TLS");
    assert_eq!(sizes.next(), None);
    let Some(relocations) = tool(test, "readelf", &["-rW"]) else { return };
    assert!(!relocations.contains("DTPMOD"), "a relocation of dynamic TLS");
}

#[test]
fn the_file_is_sane() {
    let Some(dynamic) = tool("the_file_is_sane", "readelf", &["-dW"]) else { return };
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.len() == 1 && needed[0].contains("[libc.so.6]"), "{needed:?}");
    assert!(!dynamic.contains("TEXTREL"));
    let Some(segments) = tool("the_file_is_sane", "readelf", &["-lW"]) else { return };
    let flags = |line: &str| line.split("0x").nth(5).unwrap_or_default().to_owned();
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap();
    assert!(!flags(stack).contains('E'), "{stack}");
    // The symbol table is changed at the start of programs without C++, which must not stop code.
    let first = segments.lines().find(|line| line.trim_start().starts_with("LOAD")).unwrap();
    assert!(!flags(first).contains('E'), "{first}");
}

#[test]
fn no_panic_is_left() {
    let Some(symbols) = tool("no_panic_is_left", "nm", &["-C"]) else { return };
    for word in ["rust_begin_unwind", "panic", "rust_eh_personality", "core::fmt"] {
        let found = symbols.lines().find(|line| line.contains(word));
        assert_eq!(found, None, "{word}");
    }
}
