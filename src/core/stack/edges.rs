//! References between resources, and circles of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::core::words::{Path, Problem, Step, reaches};

/// A reference from one resource to another.
#[derive(Debug)]
pub(super) struct Edge {
    pub from: String,
    pub to: String,
    /// Where the reference is.
    pub path: Path,
}

/// Whether `from` waits for `to`, directly or through others.
pub(super) fn waits_for(edges: &[Edge], from: &str, to: &str) -> bool {
    reaches(from, to, |at| edges.iter().filter(move |edge| edge.from == at).map(|edge| edge.to.as_str()))
}

/// The most circles that are shown.
const MAX_SHOWN: usize = 20;

/// Each resource with the references from it.
type References<'a> = BTreeMap<&'a str, Vec<&'a Edge>>;

/// Reports circular dependencies. CloudFormation refuses every circle, also one of references that need only a name, and so
/// does wschat: a template that works here must work there.
///
/// Of resources that all depend on each other one circle is shown, a shortest one: the others mostly follow from it.
pub(super) fn check_cycles(edges: &[Edge], problems: &mut Vec<Problem>) {
    let mut references = References::new();
    let (to_themselves, to_others): (Vec<&Edge>, Vec<&Edge>) = edges.iter().partition(|edge| edge.from == edge.to);
    for edge in to_others {
        references.entry(&edge.from).or_default().push(edge);
    }
    let circles = components(&references).into_iter().filter_map(|component| shortest(&references, &component));
    let circles = to_themselves.into_iter().map(|edge| vec![edge]).chain(circles);
    problems.extend(circles.take(MAX_SHOWN).map(|circle| problem(&circle)));
}

/// The circle as an error, at its last reference.
fn problem(circle: &[&Edge]) -> Problem {
    let mut names: Vec<&str> = circle.iter().map(|edge| edge.from.as_str()).collect();
    names.extend(names.first().copied());
    let last = circle.last().map_or_else(Path::default, |edge| edge.path.clone());
    let problem = Problem::new(last, format!("circular dependency between resources: {}", names.join(" -> ")));
    let places = circle.iter().map(|edge| match place(&edge.path).as_str() {
        // A deployment waits for its routes, though no property of it names them.
        "" => format!("{} waits for {}", edge.from, edge.to),
        place => format!("{} refers to {} in {place}", edge.from, edge.to),
    });
    problem.help(places.collect::<Vec<_>>().join(", "))
}

/// Where in a resource: `Environment/Variables/TABLE`, `DependsOn`.
fn place(path: &Path) -> String {
    let below = match path.0.get(2..) {
        Some([Step::Key(properties), below @ ..]) if properties == "Properties" && !below.is_empty() => below,
        Some(below) => below,
        None => &[],
    };
    let is_function = |step: &Step| matches!(step, Step::Key(key) if key == "Ref" || key.starts_with("Fn::"));
    Path(below.iter().take_while(|step| !is_function(step)).cloned().collect()).to_string()
}

/// The sets of resources that depend on each other, and all others alone (Tarjan's strongly connected components, without
/// recursion: a template may be a chain of thousands).
fn components<'a>(references: &References<'a>) -> Vec<BTreeSet<&'a str>> {
    #[derive(Default)]
    struct Visit {
        index: usize,
        lowest: usize,
        is_open: bool,
    }
    let mut visits: BTreeMap<&str, Visit> = BTreeMap::new();
    let mut open: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for start in references.keys().copied() {
        // The path to the current resource, each with the number of references from it that have been followed.
        let mut trail: Vec<(&str, usize)> = if visits.contains_key(start) { Vec::new() } else { vec![(start, 0)] };
        while let Some((at, followed)) = trail.last().copied() {
            if followed == 0 {
                let index = visits.len();
                visits.entry(at).or_insert_with(|| {
                    open.push(at);
                    Visit { index, lowest: index, is_open: true }
                });
            }
            let next = references.get(at).and_then(|edges| edges.get(followed)).map(|edge| edge.to.as_str());
            if let Some(last) = trail.last_mut() {
                last.1 += 1;
            }
            let lowest = match next {
                Some(next) => match visits.get(next) {
                    None => {
                        trail.push((next, 0));
                        continue;
                    }
                    Some(visit) if visit.is_open => Some((at, visit.index)),
                    Some(_) => None,
                },
                None => {
                    trail.pop();
                    let visit = &visits[at];
                    let lowest = visit.lowest;
                    if visit.lowest == visit.index {
                        let first = open.iter().position(|one| *one == at).unwrap_or_default();
                        let component: BTreeSet<&str> = open.split_off(first).into_iter().collect();
                        for one in &component {
                            visits.entry(one).or_default().is_open = false;
                        }
                        found.push(component);
                    }
                    trail.last().map(|(above, _)| (*above, lowest))
                }
            };
            if let Some((at, lowest)) = lowest {
                let visit = visits.entry(at).or_default();
                visit.lowest = visit.lowest.min(lowest);
            }
        }
    }
    found
}

/// A shortest circle within a component; none where that is a single resource.
fn shortest<'a>(references: &References<'a>, component: &BTreeSet<&'a str>) -> Option<Vec<&'a Edge>> {
    /// From how many resources a circle is looked for: the time is this times the number of references.
    const MAX_STARTS: usize = 100;
    let circles = component.iter().take(MAX_STARTS).filter_map(|start| circle_from(references, component, start));
    circles.min_by_key(Vec::len)
}

/// A shortest circle through `start` (breadth-first search).
fn circle_from<'a>(references: &References<'a>, component: &BTreeSet<&'a str>, start: &str) -> Option<Vec<&'a Edge>> {
    let mut came_by: BTreeMap<&str, &Edge> = BTreeMap::new();
    let mut ahead = VecDeque::from([start]);
    while let Some(at) = ahead.pop_front() {
        for edge in references.get(at).into_iter().flatten().filter(|edge| component.contains(edge.to.as_str())) {
            if edge.to == start {
                let mut circle = vec![*edge];
                while let Some(first) = circle.last().filter(|edge| edge.from != start) {
                    circle.push(came_by[first.from.as_str()]);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_by.contains_key(edge.to.as_str()) {
                came_by.insert(&edge.to, edge);
                ahead.push_back(&edge.to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(&str, &str)]) -> Vec<String> {
        let edge = |(from, to): &(&str, &str)| Edge {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            path: Path::default().key("Resources").key(from).key("DependsOn"),
        };
        let edges: Vec<Edge> = edges.iter().map(edge).collect();
        let mut problems = Vec::new();
        check_cycles(&edges, &mut problems);
        let prefix = "circular dependency between resources: ";
        problems.into_iter().map(|problem| problem.what.trim_start_matches(prefix).to_owned()).collect()
    }

    #[test]
    fn a_component_is_shown_by_a_shortest_circle() {
        assert_eq!(found(&[("A", "B"), ("B", "C"), ("A", "C")]), [""; 0]);
        assert_eq!(found(&[("A", "B"), ("B", "C"), ("C", "A")]), ["A -> B -> C -> A"]);
        assert_eq!(found(&[("A", "B"), ("B", "C"), ("C", "A"), ("C", "B")]), ["B -> C -> B"]);
        assert_eq!(found(&[("A", "A"), ("B", "C"), ("C", "B"), ("A", "B")]), ["A -> A", "B -> C -> B"]);
        // What leads into a circle and what it leads to are no part of it.
        assert_eq!(found(&[("Z", "A"), ("A", "B"), ("B", "A"), ("B", "Y")]), ["A -> B -> A"]);
    }

    #[test]
    fn a_circle_says_by_what_each_depends_on_the_next() {
        let edge = |from: &str, to: &str, path: &[&str]| Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            path: path.iter().fold(Path::default().key("Resources").key(from), |path, key| path.key(key)),
        };
        let edges = [edge("Deployment", "Route", &[]), edge("Route", "Deployment", &["DependsOn"])];
        let mut problems = Vec::new();
        check_cycles(&edges, &mut problems);
        let help = problems[0].help.as_deref();
        assert_eq!(help, Some("Deployment waits for Route, Route refers to Deployment in DependsOn"));
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let names: Vec<String> = (0..20_000).map(|number| format!("R{number:05}")).collect();
        let mut edges: Vec<(&str, &str)> = names.windows(2).map(|two| (two[0].as_str(), two[1].as_str())).collect();
        assert_eq!(found(&edges), [""; 0]);
        edges.push((&names[2], &names[1]));
        assert_eq!(found(&edges), ["R00001 -> R00002 -> R00001"]);
    }
}
