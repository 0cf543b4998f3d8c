//! Modules that import each other, directly or in a ring. A module is a file; what counts is every
//! path into the own crate that its code names, tests left aside.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path within its crate; empty for the root.
type Path = Vec<String>;

/// The modules of one crate and what each imports.
#[derive(Debug, Default)]
pub struct Modules {
    imports: BTreeMap<Path, BTreeSet<Path>>,
    texts: BTreeMap<Path, String>,
}

impl Modules {
    /// Adds a file by its path below `src`.
    pub fn add(&mut self, file: &str, text: &str) {
        let Some(name) = file.strip_suffix(".rs") else { return };
        let mut path: Path = name.split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
            path.pop();
        }
        self.texts.insert(path, code(text));
    }

    /// The rings, each as the names of its modules.
    pub fn rings(mut self) -> Vec<Vec<String>> {
        for (path, text) in &self.texts {
            let targets = named(path, text)
                .into_iter()
                .map(|target| self.module_of(&target))
                .filter(|target| target != path);
            self.imports.insert(path.clone(), targets.collect());
        }
        let mut rings = Vec::new();
        let mut told: BTreeSet<&Path> = BTreeSet::new();
        for path in self.imports.keys() {
            let ahead = self.reachable(path);
            let ring: Vec<&Path> = self
                .imports
                .keys()
                .filter(|other| ahead.contains(other) && self.reachable(other).contains(path))
                .collect();
            if !ring.is_empty() && told.insert(path) {
                told.extend(&ring);
                rings.push(ring.into_iter().map(shown).collect());
            }
        }
        rings.dedup();
        rings
    }

    /// The module that holds what a path names: the longest one that is a file.
    fn module_of(&self, target: &Path) -> Path {
        let mut module = target.clone();
        while !module.is_empty() && !self.texts.contains_key(&module) {
            module.pop();
        }
        module
    }

    fn reachable(&self, from: &Path) -> BTreeSet<&Path> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Path> = self.imports.get(from).into_iter().flatten().collect();
        while let Some(path) = open.pop() {
            if let Some((path, next)) = self.imports.get_key_value(path)
                && found.insert(path)
            {
                open.extend(next);
            }
        }
        found
    }
}

fn shown(path: &Path) -> String {
    if path.is_empty() { "the crate's root".to_owned() } else { path.join("::") }
}

/// The code of a file: no comments, no tests. In a module within the file `super` is the file
/// itself, which is no import.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let lines = lines.filter(|line| !line.starts_with("    use super::"));
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path into the own crate that code names.
fn named(module: &Path, code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code.get(..at).unwrap_or_default().chars().next_back();
            let is_inside = before.is_some_and(|one| one.is_alphanumeric() || "_:$".contains(one));
            if !is_inside {
                let rest = code.get(at..).unwrap_or_default();
                expand(module, rest, &mut found);
            }
        }
    }
    for module_name in declared(code) {
        let mut child = module.clone();
        child.push(module_name);
        found.push(child);
    }
    found
}

/// Modules that the file declares and names something of.
fn declared(code: &str) -> Vec<String> {
    let names = code.lines().filter_map(|line| {
        let name = line.trim().strip_suffix(';')?.rsplit_once("mod ")?.1;
        code.contains(&format!("{name}::")).then(|| name.to_owned())
    });
    names.collect()
}

/// Reads one path, with what its braces hold, from the front of `text`.
fn expand(module: &Path, text: &str, found: &mut Vec<Path>) {
    let mut path: Path = Vec::new();
    let mut is_first = true;
    let mut rest = text;
    loop {
        let end = rest.find(|one: char| !(one.is_alphanumeric() || one == '_'));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        match name {
            "crate" if is_first => path.clear(),
            "self" if is_first => path.clone_from(module),
            "super" => {
                if is_first {
                    path.clone_from(module);
                }
                path.pop();
            }
            "" => {}
            name => path.push(name.to_owned()),
        }
        is_first = false;
        rest = rest.get(name.len()..).unwrap_or_default();
        let Some(next) = rest.strip_prefix("::") else { break };
        rest = next;
        if let Some(inner) = rest.strip_prefix('{') {
            for branch in branches(inner) {
                let mut one = path.clone();
                let names = branch.split("::").map(str::trim).take_while(|name| !name.is_empty());
                one.extend(names.filter(|name| *name != "self").map(str::to_owned));
                found.push(one);
            }
            return;
        }
    }
    found.push(path);
}

/// What stands between the commas of a brace, without what stands in inner braces.
fn branches(inner: &str) -> Vec<String> {
    let mut depth = 0;
    let mut branches = vec![String::new()];
    for one in inner.chars() {
        match one {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => branches.push(String::new()),
            one if depth == 0 => branches.last_mut().into_iter().for_each(|last| last.push(one)),
            _ => {}
        }
    }
    branches.retain(|branch| !branch.trim().is_empty());
    branches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut modules = Modules::default();
        for (file, text) in files {
            modules.add(file, text);
        }
        modules.rings()
    }

    /// Modules that cannot be understood one after the other would not be noticed.
    #[test]
    fn rings_are_found() {
        let chain = [("a.rs", "use crate::b::B;"), ("b.rs", "use super::c;"), ("c.rs", "")];
        assert!(rings(&chain).is_empty());
        let ring = [
            ("a.rs", "use crate::b::{B, D};"),
            ("b.rs", "fn f() { super::c::g() }"),
            ("c.rs", "use crate::{a::A, x};"),
        ];
        assert_eq!(rings(&ring), [["a", "b", "c"]]);
        let parent = [("p/mod.rs", "mod c;\npub use c::C;"), ("p/c.rs", "use super::P;")];
        assert_eq!(rings(&parent), [["p", "p::c"]]);
        let test = [("a.rs", "use crate::b;"), ("b.rs", "#[cfg(test)]\nuse crate::a;")];
        assert!(rings(&test).is_empty());
    }
}
