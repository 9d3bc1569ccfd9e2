//! The law of the modules: a module uses only modules of rows above it, and those to the left of it
//! in its row, in the table that the crate, or the folder, has in its documentation.
//!
//! Read are the paths in the sources that start with `crate`, `super` or `self`, in `use` lines and
//! elsewhere. Items for tests are exempt. A folder's `mod.rs` may have code of its own, which uses
//! the modules of the folder or is used by them, but not both. Items of a crate's root are for
//! others: inside the crate, paths are written out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::artifacts::tests;

use tokens::{closing, paths, tokens, without_tests};

mod length;
mod made_up;
mod tokens;

/// The crates that have a law, by their folders.
const CRATES: [&str; 7] = ["format", "unwind", "preload", "reader", "analysis", "export", "cli"];

/// Sources by their paths below `src`.
type Sources = BTreeMap<String, String>;
/// The path of a module from the crate's root, which is empty.
type Module = Vec<String>;

fn read(directory: &Path, prefix: &str, sources: &mut Sources) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(name, fs::read_to_string(path).unwrap());
        }
    }
}

/// The declarations and uses in the code of a module.
#[derive(Default)]
struct Code {
    /// Modules that it declares, in files of their own.
    children: BTreeSet<String>,
    /// Paths from the root that it uses, and the names of modules and items at their ends.
    uses: Vec<Module>,
}

fn code(module: &Module, source: &str) -> Code {
    let tokens = without_tests(tokens(source));
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut code = Code::default();
    for at in 0..tokens.len() {
        if token(at) == "mod" && token(at + 2) == ";" {
            code.children.insert(tokens[at + 1].clone());
        }
    }
    // Where modules within the file end.
    let (mut inline, mut exported) = (Vec::new(), BTreeMap::<String, Module>::new());
    let mut at = 0;
    while at < tokens.len() {
        inline.retain(|&end| at < end);
        let before = token(at.wrapping_sub(1));
        if token(at) == "mod" && token(at + 2) == "{" {
            inline.push(closing(&tokens, at + 2));
        }
        let mut all = Vec::new();
        if token(at) == "use"
            && ["pub", ")"].contains(&before)
            && code.children.contains(token(at + 1))
        {
            // An item that is offered to others is only used if its name is used again.
            at = paths(&tokens, at + 2, vec![tokens[at + 1].clone()], &mut all);
            exported.extend(all.into_iter().map(|path| (path.last().unwrap().clone(), path)));
            continue;
        }
        let leads =
            ["crate", "super", "self"].contains(&token(at)) || code.children.contains(token(at));
        let start = match exported.get(token(at)) {
            Some(path) => path.clone(),
            None if leads && token(at + 1) == "::" => vec![tokens[at].clone()],
            None => Vec::new(),
        };
        if start.is_empty() || ["::", "$"].contains(&before) {
            at += 1;
            continue;
        }
        let end = paths(&tokens, at + 1, start, &mut all);
        for path in all {
            let mut base = [module.clone(), vec![String::new(); inline.len()]].concat();
            let mut rest = &path[..];
            loop {
                match rest.first().map(String::as_str) {
                    Some("crate") => base.clear(),
                    Some("super") => drop(base.pop()),
                    Some("self") => {}
                    _ => break,
                }
                rest = &rest[1..];
            }
            base.retain(|name| !name.is_empty());
            base.extend(rest.iter().filter(|name| *name != "self" && *name != "*").cloned());
            code.uses.push(base);
        }
        at = end.max(at + 1);
    }
    code
}

/// The rows of the law in a module's documentation, one after the other.
fn law(source: &str) -> Option<Vec<String>> {
    let mut lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.find(|line| line.contains("The law of the modules"))?;
    lines.find(|line| line.trim() == "```text")?;
    let rows = lines.map(str::trim).take_while(|line| *line != "```");
    let names = rows.flat_map(|row| row.split("  ").next().unwrap().split(' '));
    Some(names.map(str::to_owned).collect())
}

/// All that is against the law, a line each.
fn violations(sources: &Sources) -> Vec<String> {
    let root = ["lib.rs", "main.rs"].into_iter().find(|root| sources.contains_key(*root));
    let mut open = vec![(Module::new(), root.expect("a root").to_owned())];
    let (mut modules, mut laws, mut found) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    while let Some((module, file)) = open.pop() {
        let code = code(&module, &sources[&file]);
        let is_folder = ["lib.rs", "main.rs"].contains(&&*file) || file.ends_with("mod.rs");
        let stem = file.strip_suffix(".rs").unwrap();
        let below = if is_folder { file.rsplit_once('/').map_or("", |it| it.0) } else { stem };
        for child in &code.children {
            let path = if below.is_empty() { child.clone() } else { format!("{below}/{child}") };
            let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
            match files.into_iter().find(|file| sources.contains_key(file)) {
                Some(file) => open.push(([module.clone(), vec![child.clone()]].concat(), file)),
                None => found.push(format!("{file}: no file for module {child}")),
            }
        }
        let law = law(&sources[&file]);
        if code.children.len() > 1 && law.is_none() {
            found.push(format!("{file}: no law of its modules"));
        }
        if let Some(law) = law {
            let named: BTreeSet<_> = law.iter().cloned().collect();
            for name in named.symmetric_difference(&code.children) {
                found.push(format!("{file}: {name} is not both in the law and declared"));
            }
            laws.insert(module.clone(), law);
        }
        modules.insert(module, (file, code));
    }
    let (mut own_uses, mut used_own) = (BTreeMap::new(), BTreeMap::new());
    for (module, (file, code)) in &modules {
        for path in &code.uses {
            let known =
                (0..=path.len()).rev().find(|&length| modules.contains_key(&path[..length]));
            let target = &path[..known.expect("the root is known")];
            let common = module.iter().zip(target).take_while(|(a, b)| a == b).count();
            match (module.get(common), target.get(common)) {
                (Some(from), Some(to)) => {
                    let order = laws.get(&module[..common]);
                    let place = |name| order?.iter().position(|it| it == name);
                    // One that is missing is found above.
                    if let (Some(from), Some(to)) = (place(from), place(to))
                        && to >= from
                    {
                        found.push(format!("{file}: uses {} against the law", path.join("::")));
                    }
                }
                (Some(_), None) if target.is_empty() => {
                    found.push(format!("{file}: {} is no module: write it out", path.join("::")));
                }
                (Some(_), None) => {
                    used_own.insert(target.to_vec(), (file, path));
                }
                (None, Some(_)) if !module.is_empty() => {
                    own_uses.insert(module.clone(), path);
                }
                _ => {}
            }
        }
    }
    for (module, path) in own_uses {
        if let Some((file, used)) = used_own.get(&module) {
            let (path, used) = (path.join("::"), used.join("::"));
            found.push(format!("{file}: uses {used}, beside code that uses {path}"));
        }
    }
    found
}

#[test]
fn modules_use_only_what_is_above_them() {
    for name in CRATES {
        let mut sources = Sources::new();
        read(&tests().parent().unwrap().join(name).join("src"), "", &mut sources);
        let found = violations(&sources);
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}
