//! Selects which cases of a matrix run. All of them would take too long for every change, so each run checks a random sample;
//! its seed is printed.

use std::fmt::Display;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Repeats the sample of an earlier run.
const SEED: &str = "WSCHAT_TEST_SEED";

/// If it is set, all cases run.
const ALL: &str = "WSCHAT_TEST_ALL";

static CHOSEN: LazyLock<u64> = LazyLock::new(|| {
    let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
});

/// At most `most` of these cases, chosen by the seed. They are sorted by name first, so that the seed gives the same sample in
/// every run.
pub fn some<C: Display>(what: &str, mut cases: Vec<C>, most: usize) -> Vec<C> {
    let of = cases.len();
    cases.sort_by_cached_key(ToString::to_string);
    if std::env::var_os(ALL).is_none() {
        let mut state = *CHOSEN;
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut below = |count: usize| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % count
        };
        while cases.len() > most {
            cases.remove(below(cases.len()));
        }
    }
    println!("{what}: {} of {of} cases; {SEED}={} chooses these again, {ALL}=1 takes all", cases.len(), *CHOSEN);
    cases
}

/// A third of these cases.
pub fn third<C: Display>(what: &str, cases: Vec<C>) -> Vec<C> {
    let most = cases.len().div_ceil(3);
    some(what, cases, most)
}
