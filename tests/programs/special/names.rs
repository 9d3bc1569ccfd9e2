// Names of Rust: generics, closures, traits, modules.
use std::collections::BTreeMap;
use std::hint::black_box;

mod inside {
    pub trait Area {
        fn area(&self) -> usize;
    }
    impl<T: AsRef<[u8]>> Area for Vec<T> {
        #[inline(never)]
        fn area(&self) -> usize {
            self.iter().map(|it| it.as_ref().len()).sum()
        }
    }
}

#[inline(never)]
fn generic<K: Ord + Clone, F: Fn(&K) -> usize>(keys: &[K], measure: F) -> usize {
    let map: BTreeMap<K, usize> = keys.iter().map(|key| (key.clone(), measure(key))).collect();
    map.values().sum()
}

fn main() {
    use inside::Area;
    let keys: Vec<String> = std::env::args().chain(["seventeen".to_owned()]).collect();
    let sum = generic(&keys, |key| key.len() * 3) + black_box(&keys).area();
    println!("{}", sum > 0);
}
