//! Names as their sources spell them.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{DemangleOptions, Symbol};

/// The most bytes of a demangled name; a few hundred bytes of a hostile one can mean gigabytes. One
/// that is longer stays mangled.
const MOST: usize = 64 << 10;
/// The most bytes of a mangled name that is looked at.
const MOST_MANGLED: usize = 16 << 10;

/// The name looks like one of C++ or Rust.
pub(super) fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// The mangled name of the whole function, of which a symbol may name a part or a copy behind a dot: `f` of
/// `f.constprop.0.cold`. The older names of Rust, alone, have dots of their own.
pub(super) fn whole(name: &str) -> &str {
    match end_of_hash(name) {
        Some(end) => &name[..end],
        None => name.split('.').next().unwrap_or(name),
    }
}

/// The name, demangled if it is one of C++ or Rust.
pub(super) fn demangle(name: &str) -> Cow<'_, str> {
    let is_short = is_mangled(name) && name.len() <= MOST_MANGLED;
    match is_short.then(|| rust(name).or_else(|| cpp(name))) {
        Some(Some(demangled)) => demangled.into(),
        _ => name.into(),
    }
}

fn rust(name: &str) -> Option<String> {
    let symbol = rustc_demangle::try_demangle(name).ok()?;
    // The older mangling is that of C++ and a last part, a hash.
    if name.starts_with("_Z") && end_of_hash(name).is_none() {
        return None;
    }
    bounded(|out| fmt::write(out, format_args!("{symbol:#}")))
}

/// The end of a part `17h`, of 16 hexadecimal digits and of the `E` behind them.
fn end_of_hash(name: &str) -> Option<usize> {
    name.match_indices("17h").find_map(|(at, _)| {
        let rest = &name.as_bytes()[at + 3..];
        let is_hash = rest.len() > 16 && rest[..16].iter().all(u8::is_ascii_hexdigit);
        (is_hash && rest[16] == b'E').then_some(at + 3 + 17)
    })
}

/// The name without parameters, which `cpp_demangle` spells otherwise than `c++filt` for some names.
fn cpp(name: &str) -> Option<String> {
    let symbol = Symbol::new(name.as_bytes()).ok()?;
    let options = DemangleOptions::new();
    let options = options.no_params().no_return_type().hide_expression_literal_types();
    let name = bounded(|out| symbol.structured_demangle(&mut Unstructured(out), &options))?;
    Some(tidy(name))
}

/// The name without what the demangler leaves of packs of no arguments and of a method for `*this`
/// of one kind: `f<int, >`, `S::f &&`.
fn tidy(mut name: String) -> String {
    for (leftover, kept) in [(", >", ">"), ("<, ", "<"), (", )", ")"), (", &&)", ")")] {
        while name.contains(leftover) {
            name = name.replace(leftover, kept);
        }
    }
    for qualifier in [" const", " &", " &&"] {
        if !name.contains("operator")
            && let Some(rest) = name.strip_suffix(qualifier)
        {
            name.truncate(rest.len());
        }
    }
    name
}

fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded(String::new());
    write(&mut out).ok().map(|()| out.0)
}

/// Text of [`MOST`] bytes at most.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

struct Unstructured<'a>(&'a mut Bounded);

impl cpp_demangle::DemangleWrite for Unstructured<'_> {
    fn write_string(&mut self, text: &str) -> fmt::Result {
        fmt::Write::write_str(self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpp_and_rust_are_demangled() {
        for (mangled, name) in [
            ("_ZN3foo3barEi", "foo::bar"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backEOi",
                "std::vector<int, std::allocator<int> >::push_back",
            ),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_ZL6helperv.constprop.0", "helper"),
            ("_ZSt11make_uniqueI1AJEEvDpOT0_", "std::make_unique<A>"),
            ("main", "main"),
            ("_Zebra", "_Zebra"),
            ("_Rust", "_Rust"),
            ("", ""),
        ] {
            assert_eq!(demangle(mangled), name);
        }
    }

    #[test]
    fn parts_and_copies_are_the_function() {
        let rust =
            "_ZN49_$LT$core..iter..Map$LT$I$GT$$u20$as$u20$a..B$GT$4next17h0123456789abcdefE";
        for (name, function) in [
            ("_ZL6helperv.constprop.0.cold", "_ZL6helperv"),
            ("_Z1fv.part.12", "_Z1fv"),
            ("_Z3foov._omp_fn.0", "_Z3foov"),
            ("_Z3foov.localalias", "_Z3foov"),
            (rust, rust),
            (&format!("{rust}.llvm.1234567890"), rust),
            ("_RNvC1a1b.llvm.12", "_RNvC1a1b"),
            ("", ""),
        ] {
            assert_eq!(whole(name), function);
        }
        assert_eq!(demangle(rust), "<core::iter::Map<I> as a::B>::next");
    }

    #[test]
    fn names_that_explode_stay_as_they_are() {
        // Each argument is a pair of two of the one before.
        let mut name = "_Z1fSt4pairIiiE".to_owned();
        for digit in "_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars().take(30) {
            let last = if digit == '_' { "S_".to_owned() } else { format!("S{digit}_") };
            name += &format!("St4pairI{last}{last}E");
        }
        let shown = demangle(&name);
        assert!(shown.len() <= MOST, "{}", shown.len());
        let nested = format!("_Z1f{}i", "P".repeat(10_000));
        assert!(demangle(&nested).len() <= MOST);
    }
}
