//! Graphs of operations, and what goes in a circle in them.

/// A directed graph with its edges by their origin.
#[derive(Debug)]
pub struct Graph {
    /// Where the edges of each node begin in `targets`; one more at the end.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Graph {
    /// A graph of so many nodes. Edges from a node to itself are left out.
    #[must_use]
    pub fn new(nodes: usize, mut edges: Vec<(u32, u32)>) -> Self {
        edges.retain(|(from, to)| from != to);
        edges.sort_unstable();
        edges.dedup();
        let mut starts = vec![0; nodes + 1];
        for (from, _) in &edges {
            if let Some(count) = starts.get_mut(*from as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { starts, targets: edges.into_iter().map(|(_, to)| to).collect() }
    }

    fn targets(&self, node: u32) -> &[u32] {
        let start = |node: usize| self.starts.get(node).copied().unwrap_or(0) as usize;
        self.targets.get(start(node as usize)..start(node as usize + 1)).unwrap_or_default()
    }

    /// The sets of nodes that reach each other, without those of one node (Tarjan 1972).
    #[must_use]
    pub fn components(&self) -> Vec<Vec<u32>> {
        let nodes = self.starts.len() - 1;
        let mut search = Search {
            graph: self,
            numbers: vec![UNSEEN; nodes],
            lows: vec![0; nodes],
            next: 0,
            open: Vec::new(),
            found: Vec::new(),
        };
        for node in (0..).take(nodes) {
            if search.numbers[node as usize] == UNSEEN {
                search.from(node);
            }
        }
        search.found
    }

    /// A shortest way from a node of a component back to it.
    #[must_use]
    pub fn cycle(&self, component: &[u32]) -> Vec<u32> {
        let Some(&first) = component.first() else { return Vec::new() };
        let mut came_from = std::collections::BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([first]);
        while let Some(node) = queue.pop_front() {
            for &target in self.targets(node) {
                if target == first {
                    return way_back(first, node, &came_from);
                }
                if component.binary_search(&target).is_ok() && !came_from.contains_key(&target) {
                    came_from.insert(target, node);
                    queue.push_back(target);
                }
            }
        }
        Vec::new()
    }
}

fn way_back(first: u32, last: u32, came_from: &std::collections::BTreeMap<u32, u32>) -> Vec<u32> {
    let mut way = vec![last];
    let mut node = last;
    while node != first {
        match came_from.get(&node) {
            Some(before) => node = *before,
            None => break,
        }
        way.push(node);
    }
    way.reverse();
    way
}

/// The number of a node that was not visited.
const UNSEEN: u32 = u32::MAX;
/// The number of a node whose component is known.
const DONE: u32 = u32::MAX - 1;

struct Search<'a> {
    graph: &'a Graph,
    /// In which order nodes were visited.
    numbers: Vec<u32>,
    /// The smallest number that a node reaches.
    lows: Vec<u32>,
    next: u32,
    /// Visited nodes whose component is not yet known.
    open: Vec<u32>,
    found: Vec<Vec<u32>>,
}

impl Search<'_> {
    /// Depth first with a stack of its own: a way may be as long as the history.
    fn from(&mut self, root: u32) {
        let mut stack = vec![(root, 0)];
        self.visit(root);
        while let Some((node, at)) = stack.last_mut() {
            let node = *node;
            let Some(&target) = self.graph.targets(node).get(*at) else {
                stack.pop();
                self.leave(node, stack.last().map(|(parent, _)| *parent));
                continue;
            };
            *at += 1;
            match self.numbers[target as usize] {
                UNSEEN => {
                    self.visit(target);
                    stack.push((target, 0));
                }
                DONE => {}
                number => self.lower(node, number),
            }
        }
    }

    fn visit(&mut self, node: u32) {
        self.numbers[node as usize] = self.next;
        self.lows[node as usize] = self.next;
        self.next += 1;
        self.open.push(node);
    }

    fn lower(&mut self, node: u32, number: u32) {
        let low = &mut self.lows[node as usize];
        *low = number.min(*low);
    }

    fn leave(&mut self, node: u32, parent: Option<u32>) {
        let low = self.lows[node as usize];
        if let Some(parent) = parent {
            self.lower(parent, low);
        }
        if low != self.numbers[node as usize] {
            return;
        }
        let at = self.open.iter().rposition(|one| *one == node).unwrap_or(0);
        let mut component = self.open.split_off(at);
        for one in &component {
            self.numbers[*one as usize] = DONE;
        }
        if component.len() > 1 {
            component.sort_unstable();
            self.found.push(component);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A circle would not be seen, or a way taken for one.
    #[test]
    fn nodes_that_reach_each_other_are_found() {
        let graph = Graph::new(7, vec![(0, 1), (1, 2), (2, 0), (2, 3), (4, 5), (5, 4), (6, 6)]);
        assert_eq!(graph.components(), [vec![0, 1, 2], vec![4, 5]]);
        assert_eq!(graph.cycle(&[0, 1, 2]), [0, 1, 2]);
        assert!(Graph::new(3, vec![(0, 1), (1, 2), (0, 2)]).components().is_empty());
    }

    /// A long history would end the checker by a full stack.
    #[test]
    fn a_long_way_needs_no_stack() {
        let nodes = 300_000;
        let mut edges: Vec<(u32, u32)> = (0..nodes - 1).map(|node| (node, node + 1)).collect();
        assert!(Graph::new(nodes as usize, edges.clone()).components().is_empty());
        edges.push((nodes - 1, 0));
        let components = Graph::new(nodes as usize, edges).components();
        assert_eq!(components.iter().map(Vec::len).collect::<Vec<_>>(), [nodes as usize]);
    }
}
