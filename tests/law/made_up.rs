//! The law on a made-up crate: what is against it is found.

use super::{Sources, violations};

/// A crate that keeps its law: `low`, then the folder `high` with `left` and `right`.
fn made_up() -> Sources {
    let law =
        |rows: &str| format!("//! The law of the modules:\n//!\n//! ```text\n{rows}//! ```\n");
    let files = [
        (
            "lib.rs",
            law("//! low   first\n//! high  second\n") + "mod high; pub mod low; pub use low::Low;",
        ),
        ("low.rs", "pub struct Low; // crate::high\n const C: &str = \"crate::high\";".to_owned()),
        (
            "high/mod.rs",
            law("//! left right  side by side\n")
                + "pub mod left; mod right; pub use right::Right;",
        ),
        (
            "high/left.rs",
            "use crate::low::{self, Low};\n#[cfg(test)] mod tests { use super::*; }".to_owned(),
        ),
        ("high/right.rs", "use super::left::Left; fn f<'a>() { crate::low::f('\"') }".to_owned()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

#[test]
fn turned_edges_are_found() {
    assert_eq!(violations(&made_up()), [""; 0]);
    for (file, more, expected) in [
        ("low.rs", "use crate::high::left;", "low.rs: uses high::left against the law"),
        ("low.rs", "use crate::{high::left};", "low.rs: uses high::left against the law"),
        ("low.rs", "fn g() { crate::high::f() }", "low.rs: uses high::f against the law"),
        ("low.rs", "use super::high;", "low.rs: uses high against the law"),
        (
            "high/left.rs",
            "use super::right::X;",
            "high/left.rs: uses high::right::X against the law",
        ),
        (
            "high/left.rs",
            "use crate::high::right;",
            "high/left.rs: uses high::right against the law",
        ),
        ("high/left.rs", "mod m { use super::super::right; }", "uses high::right against the law"),
        ("high/left.rs", "use crate::Low;", "high/left.rs: Low is no module: write it out"),
        ("lib.rs", "mod third;", "lib.rs: third is not both in the law and declared"),
        ("high/mod.rs", "mod third;", "high/mod.rs: no file for module third"),
    ] {
        let mut sources = made_up();
        sources.get_mut(file).unwrap().push_str(&format!("\n{more}"));
        let found = violations(&sources);
        assert!(found.iter().any(|line| line.contains(expected)), "{more}: {found:?}");
    }
    for (file, old, new, expected) in [
        ("lib.rs", "//! low   first\n", "", "lib.rs: low is not both in the law and declared"),
        ("lib.rs", "mod high;", "", "lib.rs: high is not both in the law and declared"),
        ("high/mod.rs", "The law", "No law", "high/mod.rs: no law of its modules"),
        ("high/mod.rs", "left right ", "right left ", "uses high::left::Left against the law"),
    ] {
        let mut sources = made_up();
        let text = sources.get_mut(file).unwrap();
        assert!(text.contains(old));
        *text = text.replace(old, new);
        let found = violations(&sources);
        assert!(found.iter().any(|line| line.contains(expected)), "{old}: {found:?}");
    }
}

#[test]
fn code_of_a_folder_is_above_its_modules_or_below_them() {
    let with = |own: &str, left: &str| {
        let mut sources = made_up();
        sources.get_mut("high/mod.rs").unwrap().push_str(own);
        sources.get_mut("high/left.rs").unwrap().push_str(left);
        violations(&sources)
    };
    assert_eq!(with("pub struct High;", "use super::High;"), [""; 0]);
    assert_eq!(with("fn f() { left::g() }", ""), [""; 0]);
    for own in ["use left::X;", "fn f() { left::g() }", "fn f(_: Right) {}"] {
        let found = with(own, "use super::High;");
        assert!(
            found.iter().any(|line| line.contains("uses high::High, beside")),
            "{own}: {found:?}"
        );
    }
}
