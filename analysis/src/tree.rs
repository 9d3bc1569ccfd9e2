//! Trees of call stacks: from the outermost function inward, or from the one that allocates outward.

use rustc_hash::FxHashMap;

/// The costs of a node: as many as the caller wants, at the same place of each.
pub type Costs = [u64; 5];

/// The number of a function's name in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(u32);

/// A tree of calls, without a function at its root.
///
/// Its nodes lie together: most functions of deep stacks have one below them, and a tree of a program may
/// have a million.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Entry>,
    /// Nodes by the node above and the name.
    numbers: FxHashMap<(u32, Name), u32>,
    names: Vec<String>,
    names_by_text: FxHashMap<String, Name>,
}

/// A node. The root has number 0, which stands for none where others are named.
#[derive(Clone, Debug)]
struct Entry {
    inclusive: Costs,
    own: Costs,
    name: Name,
    /// The last node that was added below this one.
    last_below: u32,
    /// The node that was added before this one below the same.
    before: u32,
}

impl Entry {
    fn new(name: Name, before: u32) -> Entry {
        Entry { inclusive: [0; 5], own: [0; 5], name, last_below: 0, before }
    }
}

/// A function in a tree of calls.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    tree: &'a Tree,
    number: u32,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl Tree {
    /// A tree without stacks.
    pub fn new() -> Tree {
        Tree {
            nodes: vec![Entry::new(Name(0), 0)],
            numbers: FxHashMap::default(),
            names: Vec::new(),
            names_by_text: FxHashMap::default(),
        }
    }

    /// The number of a name.
    pub fn name(&mut self, text: &str) -> Name {
        if let Some(&name) = self.names_by_text.get(text) {
            return name;
        }
        let name = Name(self.names.len() as u32);
        self.names.push(text.to_owned());
        self.names_by_text.insert(text.to_owned(), name);
        name
    }

    /// Adds what a stack has cost. Its functions are named from the root of the tree on.
    pub fn add(&mut self, path: impl IntoIterator<Item = Name>, costs: &Costs) {
        let mut number = 0;
        plus(&mut self.nodes[0].inclusive, costs);
        for name in path {
            number = self.below(number, name);
            plus(&mut self.nodes[number as usize].inclusive, costs);
        }
        plus(&mut self.nodes[number as usize].own, costs);
    }

    fn below(&mut self, above: u32, name: Name) -> u32 {
        let next = self.nodes.len() as u32;
        let number = *self.numbers.entry((above, name)).or_insert(next);
        if number == next {
            let before = std::mem::replace(&mut self.nodes[above as usize].last_below, next);
            self.nodes.push(Entry::new(name, before));
        }
        number
    }

    /// The root.
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, number: 0 }
    }
}

impl<'a> Node<'a> {
    fn entry(self) -> &'a Entry {
        &self.tree.nodes[self.number as usize]
    }

    /// The name of the function; that of the root is empty.
    pub fn name(self) -> &'a str {
        if self.number == 0 { "" } else { &self.tree.names[self.entry().name.0 as usize] }
    }

    /// The costs of all stacks through it.
    pub fn inclusive(self) -> &'a Costs {
        &self.entry().inclusive
    }

    /// The costs of the stacks that end here.
    pub fn own(self) -> &'a Costs {
        &self.entry().own
    }

    /// The functions below this one, those with the largest cost at this place first, then by name.
    pub fn below(self, cost: usize) -> Vec<Node<'a>> {
        let node = |number: u32| Node { number, ..self };
        let some = |number: u32| (number != 0).then_some(number);
        let first = some(self.entry().last_below);
        let all = std::iter::successors(first, |&it| some(node(it).entry().before));
        let mut all: Vec<_> = all.map(node).collect();
        let of = |node: &Node<'a>| node.inclusive().get(cost).copied().unwrap_or(0);
        all.sort_unstable_by(|a, b| of(b).cmp(&of(a)).then_with(|| a.name().cmp(b.name())));
        all
    }
}

fn plus(sum: &mut Costs, more: &Costs) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up() {
        let mut tree = Tree::new();
        let mut add = |path: &[&str], costs: &Costs| {
            let path: Vec<_> = path.iter().map(|text| tree.name(text)).collect();
            tree.add(path, costs);
        };
        add(&["main", "f", "g"], &[1, 10, 0, 0, 0]);
        add(&["main", "f"], &[2, 20, 0, 0, 0]);
        add(&["main", "h"], &[1, 100, 0, 0, 0]);
        add(&["main", "a"], &[1, 0, 0, 0, 0]);
        let root = tree.root();
        assert_eq!((*root.inclusive(), root.name()), ([5, 130, 0, 0, 0], ""));
        let main = root.below(0)[0];
        let names = |cost| main.below(cost).iter().map(|node| node.name()).collect::<Vec<_>>();
        assert_eq!((names(0), names(1)), (vec!["f", "a", "h"], vec!["h", "f", "a"]));
        let f = main.below(0)[0];
        assert_eq!((f.inclusive()[0], f.own()[0]), (3, 2));
        assert_eq!(f.below(0)[0].name(), "g");
        assert!(f.below(0)[0].below(0).is_empty());
    }

    #[test]
    fn a_function_below_itself_is_another_node() {
        let mut tree = Tree::new();
        let f = tree.name("f");
        assert_eq!(tree.name("f"), f);
        tree.add([f, f, f], &[1; 5]);
        let depth = std::iter::successors(Some(tree.root()), |it| it.below(0).first().copied());
        assert_eq!(depth.count(), 4);
    }
}
