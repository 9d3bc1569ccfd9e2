//! Trees of call stacks: from the outermost function inward, or from the one that allocates outward.

use std::collections::BTreeMap;

/// The costs of a node: as many as the caller wants, at the same place of each.
pub type Costs = [u64; 5];

/// A function in a tree of calls, with those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What all stacks through it have cost.
    pub inclusive: Costs,
    /// What the stacks that end here have cost.
    pub own: Costs,
    below: BTreeMap<String, Node>,
}

impl Node {
    /// A tree without stacks.
    pub fn new() -> Node {
        Node::default()
    }

    /// Adds what a stack has cost. Its functions are named from the root of the tree on.
    pub fn add<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, costs: &Costs) {
        let mut node = self;
        plus(&mut node.inclusive, costs);
        for name in path {
            if !node.below.contains_key(name) {
                node.below.insert(name.to_owned(), Node::new());
            }
            let Some(next) = node.below.get_mut(name) else { return };
            node = next;
            plus(&mut node.inclusive, costs);
        }
        plus(&mut node.own, costs);
    }

    /// The functions below this one, those with the largest cost at this place first.
    pub fn below(&self, cost: usize) -> Vec<(&str, &Node)> {
        let of = |node: &Node| node.inclusive.get(cost).copied().unwrap_or(0);
        let mut all: Vec<_> = self.below.iter().map(|(name, node)| (name.as_str(), node)).collect();
        all.sort_by_key(|(_, node)| std::cmp::Reverse(of(node)));
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
        let mut tree = Node::new();
        tree.add(["main", "f", "g"], &[1, 10, 0, 0, 0]);
        tree.add(["main", "f"], &[2, 20, 0, 0, 0]);
        tree.add(["main", "h"], &[1, 100, 0, 0, 0]);
        assert_eq!(tree.inclusive, [4, 130, 0, 0, 0]);
        let main = tree.below(0)[0].1;
        let names = |cost| main.below(cost).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!((names(0), names(1)), (vec!["f", "h"], vec!["h", "f"]));
        let f = main.below(0)[0].1;
        assert_eq!((f.inclusive[0], f.own[0]), (3, 2));
    }
}
