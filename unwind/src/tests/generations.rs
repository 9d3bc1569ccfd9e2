//! The knowledge of code that has gone.

use super::Plain;
use crate::Unwinder;
use crate::table::{self, ADDRESS_BITS};

/// The inverse of an odd number modulo 2^64.
fn inverse(odd: u64) -> u64 {
    // Each round doubles the bits that are right; of any odd number, three are at first.
    (0..5).fold(odd, |it, _| it.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(it))))
}

/// The address whose hash in a generation is that of another one in an earlier generation.
fn twin(address: usize, earlier: u32, later: u32) -> usize {
    let bits = 64 - ADDRESS_BITS;
    let [earlier, later] = [earlier, later].map(|it| table::factor(it) >> bits);
    let twin = (address as u64).wrapping_mul(earlier).wrapping_mul(inverse(later));
    twin as usize & ((1 << ADDRESS_BITS) - 1)
}

/// Addresses of another generation match only by chance, and not even then.
#[test]
fn what_was_known_of_other_code_is_forgotten() {
    let unwinder = Unwinder::new();
    let address = twin as *const () as usize;
    let later = twin(address, 0, 1);
    assert_eq!((twin(later, 1, 0), twin(address, 3, 3)), (address, address));
    let site = unwinder.look(&Plain, unwinder.view(0), 0, address).site;
    let known = |generation, address| {
        unwinder.known(&Plain, unwinder.view(generation), generation, address).map(|it| it.site)
    };
    assert_eq!((known(0, address), known(0, later), known(1, address)), (Some(site), None, None));
    unwinder.modules_changed();
    assert_eq!((known(1, address), known(1, later)), (None, None));
}

/// An entry of an earlier generation comes too late: nobody finds it.
#[test]
fn what_is_found_out_too_late() {
    let unwinder = Unwinder::new();
    let address = twin as *const () as usize;
    let before = unwinder.generation();
    unwinder.modules_changed();
    assert!(!unwinder.look(&Plain, unwinder.view(before), before, address).site.is_pseudo());
    let now = unwinder.generation();
    assert!(unwinder.known(&Plain, unwinder.view(now), now, address).is_none());
}
