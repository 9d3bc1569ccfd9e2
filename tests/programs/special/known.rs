// Known call stacks of Rust: a generic function, a closure, a method of a trait.
use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

#[inline(never)]
fn ask(size: usize) {
    // SAFETY: a block that nobody else knows.
    unsafe { free(black_box(malloc(size))) };
    black_box(());
}

mod inside {
    pub trait Asks {
        fn asks(&self);
    }
    impl Asks for Vec<usize> {
        #[inline(never)]
        fn asks(&self) {
            self.iter().for_each(|&size| super::ask(size));
            super::black_box(());
        }
    }
}

#[inline(never)]
fn generic<F: Fn(usize)>(size: usize, work: F) {
    work(size);
    black_box(());
}

fn main() {
    use inside::Asks;
    for _ in 0..3 {
        generic(4001, |size| {
            ask(size);
            black_box(());
        });
        vec![4003].asks();
    }
}
