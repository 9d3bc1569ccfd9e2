//! How much a bench does: `MALLOOK_BENCH_SMOKE=1` makes everything run in seconds.

use std::env;
use std::str::FromStr;

/// Whether it only matters that everything runs.
pub fn is_smoke() -> bool {
    env::var_os("MALLOOK_BENCH_SMOKE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// One of two amounts.
pub fn pick<T>(full: T, smoke: T) -> T {
    if is_smoke() { smoke } else { full }
}

/// The amount that a variable asks for, or else one of two.
///
/// # Panics
/// The variable is set to something else than an amount.
pub fn amount<T: FromStr>(variable: &str, full: T, smoke: T) -> T {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number")),
        Err(_) => pick(full, smoke),
    }
}
