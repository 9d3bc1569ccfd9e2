//! The common parts of all manual pages.

use clap_mangen::roff::{Roff, bold, roman};

/// The day of the pages' last change of meaning.
pub const DATE: &str = "2026-11-25";
/// The program that the pages belong to.
pub const SOURCE: &str = concat!("mallook ", env!("CARGO_PKG_VERSION"));

/// The section of the pages that have to do with this one.
pub fn references(roff: &mut Roff, pages: &[(&str, &str)]) {
    if pages.is_empty() {
        return;
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (position, (name, section)) in pages.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        line.extend([roman(separator), bold(*name), roman(format!("({section})"))]);
    }
    roff.text(line);
}
