//! Functions by the symbol tables of a file.
//!
//! Only functions that say how long they are: an address behind a symbol without a size may belong
//! to anything.

use std::cmp::Reverse;

use object::LittleEndian;
use object::elf::{SHN_UNDEF, STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, Sym64, SymbolBind};
use object::read::elf::{Sym, SymbolTable};

use super::elf::Elf;

/// A function of a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    pub start: u64,
    pub end: u64,
    pub name: &'a [u8],
    /// Global, weak, or local.
    binding: SymbolBind,
}

impl Symbol<'_> {
    /// Of several names of one function the best is the public one, without underscores: as `malloc`
    /// and not `__libc_malloc`.
    fn rank(&self) -> impl Ord + '_ {
        let binding = match self.binding {
            STB_GLOBAL => 2,
            STB_WEAK => 1,
            _ => 0,
        };
        let underscores = self.name.iter().take_while(|&&byte| byte == b'_').count();
        (binding, Reverse(underscores), Reverse(self.name.len()), Reverse(self.name))
    }
}

/// Which tables a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    None,
    Exported,
    All,
}

/// The functions of a file that hold some of these addresses, which are sorted.
pub(super) fn symbols<'a>(elf: &Elf<'a>, addresses: &[u64], into: &mut Vec<Symbol<'a>>) -> Extent {
    let (all, exported) = (elf.elf_symbol_table(), elf.elf_dynamic_symbol_table());
    let has_all = add(all, addresses, into);
    let has_exported = add(exported, addresses, into);
    match (has_all, has_exported) {
        (true, _) => Extent::All,
        (false, true) => Extent::Exported,
        (false, false) => Extent::None,
    }
}

/// Adds the functions of a table; says whether it has any.
fn add<'a>(
    table: &SymbolTable<'a, object::elf::FileHeader64<LittleEndian>>,
    addresses: &[u64],
    into: &mut Vec<Symbol<'a>>,
) -> bool {
    let mut any = false;
    for symbol in table.symbols() {
        let Some((start, end)) = function(symbol) else { continue };
        any = true;
        let first = addresses.partition_point(|&address| address < start);
        if addresses.get(first).is_some_and(|&address| address < end)
            && let Ok(name) = symbol.name(LittleEndian, table.strings())
            && !name.is_empty()
        {
            into.push(Symbol { start, end, name, binding: symbol.st_bind() });
        }
    }
    any
}

fn function(symbol: &Sym64<LittleEndian>) -> Option<(u64, u64)> {
    let (start, size) = (symbol.st_value(LittleEndian), symbol.st_size(LittleEndian));
    let is_function = matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC);
    let is_here = symbol.st_shndx(LittleEndian) != SHN_UNDEF;
    (is_function && is_here && size > 0).then_some((start, start.saturating_add(size)))
}

/// The innermost function of each address; the addresses are sorted.
pub(super) fn resolve<'a>(mut all: Vec<Symbol<'a>>, addresses: &[u64]) -> Vec<Option<Symbol<'a>>> {
    all.sort_unstable_by(|a, b| a.start.cmp(&b.start).then_with(|| a.rank().cmp(&b.rank())));
    // Functions that have started; one that has ended is never looked at again.
    let (mut next, mut open) = (0, Vec::<Symbol<'a>>::new());
    let mut resolved = Vec::with_capacity(addresses.len());
    for &address in addresses {
        while next < all.len() && all[next].start <= address {
            open.push(all[next]);
            next += 1;
        }
        while open.last().is_some_and(|symbol| symbol.end <= address) {
            open.pop();
        }
        resolved.push(open.last().copied());
    }
    resolved
}

#[cfg(test)]
mod tests {
    use object::elf::STB_LOCAL;

    use super::*;

    fn symbol(start: u64, end: u64, name: &str, binding: SymbolBind) -> Symbol<'_> {
        Symbol { start, end, name: name.as_bytes(), binding }
    }

    #[test]
    fn the_innermost_function_by_its_best_name() {
        let all = vec![
            symbol(10, 100, "outer", STB_GLOBAL),
            symbol(20, 30, "__libc_inner", STB_GLOBAL),
            symbol(20, 30, "inner", STB_GLOBAL),
            symbol(20, 30, "in", STB_LOCAL),
            symbol(20, 30, "inn", STB_WEAK),
            symbol(25, 26, "point", STB_LOCAL),
            symbol(200, 300, "last", STB_LOCAL),
        ];
        let addresses = [0, 10, 20, 25, 26, 30, 99, 100, 199, 299, 300];
        let names = resolve(all, &addresses).into_iter();
        let names: Vec<_> =
            names.map(|it| it.map_or("", |it| std::str::from_utf8(it.name).unwrap())).collect();
        let expected =
            ["", "outer", "inner", "point", "inner", "outer", "outer", "", "", "last", ""];
        assert_eq!(names, expected);
    }
}
