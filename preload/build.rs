//! How the library is linked.

fn main() {
    // The `libc` crate leaves this to `std` when another package of the build has asked for that.
    println!("cargo:rustc-cdylib-link-arg=-lc");
    // It stays where it is once it is loaded: the memory that it watches may outlive `dlclose`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
