//! Up to where the shards of streams are handled: a file of its own, because it is written with every batch, and the state of the
//! functions is large.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use crate::local::context::store::Store;
use crate::local::lock::lock;

/// The name of the file.
const FILE: &str = "lambda-positions";

/// The positions of the lanes of each shard, in the form of `Mapping::read_position`; `None` where nothing of a lane is handled.
type Shards = BTreeMap<String, Vec<Option<String>>>;

/// The positions of all event source mappings, by UUID.
#[derive(Debug)]
pub(super) struct Positions {
    store: Store,
    all: Mutex<BTreeMap<String, Shards>>,
}

impl Positions {
    /// # Errors
    /// When the file cannot be read.
    pub fn open(store: Store) -> io::Result<Self> {
        let all = Mutex::new(store.load(FILE)?);
        Ok(Self { store, all })
    }

    /// The position of a lane, of which a shard has `count`. When a shard had another number of lanes, all of them go on where the
    /// last of those had arrived: what the others had handled beyond that is handled twice.
    pub fn get(&self, uuid: &str, shard: &str, lane: usize, count: usize) -> Option<String> {
        let all = lock(&self.all);
        let lanes = all.get(uuid)?.get(shard)?;
        if lanes.len() == count { lanes.get(lane).cloned().flatten() } else { last(lanes) }
    }

    /// Keeps the position of a lane. If it cannot be saved, it counts as long as this process lives.
    pub fn set(&self, uuid: &str, shard: &str, lane: usize, count: usize, position: &str) {
        let mut all = lock(&self.all);
        let lanes = all.entry(uuid.to_owned()).or_default().entry(shard.to_owned()).or_default();
        if lanes.len() != count {
            *lanes = vec![last(lanes); count];
        }
        if let Some(kept) = lanes.get_mut(lane) {
            *kept = Some(position.to_owned());
        }
        if let Err(error) = self.store.save(FILE, &*all) {
            tracing::warn!("the position of the event source mapping {uuid} is not saved: {error}");
        }
    }

    /// Forgets the mappings that are gone.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.all).retain(|uuid, _| is_there(uuid));
    }
}

/// The position of the lane that is behind all others.
fn last(lanes: &[Option<String>]) -> Option<String> {
    // Sequence numbers are decimal numbers of any length, and follow the time at which a mapping began.
    let order = |position: &String| {
        let number = position.trim_start_matches('0').to_owned();
        (position.bytes().all(|byte| byte.is_ascii_digit()), number.len(), number)
    };
    let known: Option<Vec<&String>> = lanes.iter().map(Option::as_ref).collect();
    known?.into_iter().min_by_key(|position| order(position)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir) -> Positions {
        Positions::open(Store::open(folder.path()).unwrap()).unwrap()
    }

    #[test]
    fn lanes_have_positions_that_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let positions = open(&folder);
        assert_eq!(positions.get("m", "s", 0, 2), None);
        positions.set("m", "s", 1, 2, "7");
        positions.set("other", "s", 0, 1, "9");
        positions.retain(|uuid| uuid == "m");
        positions.set("m", "s", 1, 2, "8");
        for positions in [positions, open(&folder)] {
            assert_eq!(positions.get("m", "s", 0, 2), None);
            assert_eq!(positions.get("m", "s", 1, 2).as_deref(), Some("8"));
            assert_eq!(positions.get("other", "s", 0, 1), None);
        }
    }

    #[test]
    fn another_number_of_lanes_goes_on_where_the_last_one_was() {
        let folder = tempfile::tempdir().unwrap();
        let positions = open(&folder);
        positions.set("m", "s", 0, 2, "100");
        assert_eq!(positions.get("m", "s", 0, 1), None, "nothing of the other lane is handled");
        positions.set("m", "s", 1, 2, "99");
        assert_eq!(positions.get("m", "s", 2, 3).as_deref(), Some("99"));
        positions.set("m", "s", 2, 3, "101");
        let all: Vec<_> = (0..3).map(|lane| positions.get("m", "s", lane, 3)).collect();
        assert_eq!(all, ["99", "99", "101"].map(|position| Some(position.to_owned())));
        positions.set("m", "s", 0, 3, "since:2000");
        assert_eq!(positions.get("m", "s", 0, 1).as_deref(), Some("since:2000"));
    }
}
