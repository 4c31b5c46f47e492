//! What leads where in a graph.

use std::collections::BTreeSet;

/// Whether `from` leads to `to`, directly or through others; `next` gives what one leads to directly.
pub fn reaches<T: Copy + Ord, I: Iterator<Item = T>>(from: T, to: T, next: impl Fn(T) -> I) -> bool {
    let mut ahead = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(one) = ahead.pop() {
        if one == to {
            return true;
        }
        if seen.insert(one) {
            ahead.extend(next(one));
        }
    }
    false
}
