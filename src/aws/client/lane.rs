//! How many changes of one API are under way at once.
//!
//! Overlapping changes of one API may be refused (409 `ConflictException`, "concurrent modification"), and no document says
//! when. So a lane finds out how wide it may be: wider with every success, narrower after a collision.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The first width.
const FIRST: f64 = 4.0;
/// More would only collide: 10 calls a second, the quota, of 0.15 to 0.3 s each are two or three at once.
const WIDEST: f64 = 8.0;
/// What a collision leaves of the width.
const NARROWER: f64 = 0.7;
/// Between which bounds a lane grows while a whole width of calls succeeds. With 1 where hardly anything collides; with the
/// least where everything does, so that one at a time it is, and two are tried once in a while.
const GROWTH: std::ops::RangeInclusive<f64> = 1.0 / 16.0..=1.0;
/// A collision halves the growth, and a success beside other calls multiplies it by this: overlapping is worth it while fewer
/// than a third of the calls collide. Above that, one at a time is as fast, as every collision costs a call of the quota.
const ENCOURAGED: f64 = std::f64::consts::SQRT_2;

/// How wide a lane is, and what it has learned. Pure: it is told what happens.
#[derive(Debug)]
pub(super) struct Width {
    width: f64,
    growth: f64,
    /// How many calls have begun.
    begun: u64,
    /// How many of them when it last became narrower. A collision of theirs is of the width before.
    narrowed: u64,
}

impl Default for Width {
    fn default() -> Self {
        Self { width: FIRST, growth: *GROWTH.end(), begun: 0, narrowed: 0 }
    }
}

impl Width {
    /// How many calls may be under way.
    pub fn places(&self) -> usize {
        self.width as usize
    }

    /// Counts a call; returns its number.
    pub fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A call has succeeded, with others beside it or alone.
    pub fn widen(&mut self, beside_others: bool) {
        if beside_others {
            self.growth = (self.growth * ENCOURAGED).min(*GROWTH.end());
        }
        self.width = (self.width + self.growth / self.width).min(WIDEST);
    }

    /// The call of this number collided.
    pub fn narrow(&mut self, number: u64) {
        if number > self.narrowed {
            self.width = (self.width * NARROWER).max(1.0);
            self.growth = (self.growth / 2.0).max(*GROWTH.start());
            self.narrowed = self.begun;
        }
    }
}

/// The changes of one API: those that are under way, and a queue of those that wait.
#[derive(Debug)]
pub(super) struct Lane {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    width: Width,
    /// How many places the semaphore has, free ones and taken ones.
    places: usize,
    under_way: usize,
    last_success: Option<Instant>,
}

impl Default for Lane {
    fn default() -> Self {
        let width = Width::default();
        let places = width.places();
        Self {
            places: Arc::new(Semaphore::new(places)),
            state: Mutex::new(State { width, places, under_way: 0, last_success: None }),
        }
    }
}

impl Lane {
    /// Waits for a place, first come, first served.
    pub async fn turn(self: Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        let (number, alone) = {
            let mut state = self.state();
            state.under_way += 1;
            (state.width.begin(), state.under_way == 1)
        };
        Turn { lane: self, permit, number, alone }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a lane, for one call.
#[derive(Debug)]
pub(super) struct Turn {
    lane: Arc<Lane>,
    permit: Option<OwnedSemaphorePermit>,
    number: u64,
    /// Whether no other call was under way when this one began.
    alone: bool,
}

impl Turn {
    /// The call has succeeded.
    pub fn succeeded(&self) {
        let mut state = self.lane.state();
        let beside_others = state.under_way > 1;
        state.width.widen(beside_others);
        state.last_success = Some(Instant::now());
    }

    /// The call was refused because another change is in progress. Returns whether that may be one of this lane.
    pub fn collided(&self) -> bool {
        let mut state = self.lane.state();
        state.width.narrow(self.number);
        !self.alone || state.width.begun > self.number
    }

    /// When a call of this lane last succeeded.
    pub fn last_success(&self) -> Option<Instant> {
        self.lane.state().last_success
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.under_way -= 1;
        let wanted = state.width.places();
        if state.places > wanted {
            state.places -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        } else {
            self.lane.places.add_permits(wanted - state.places);
            state.places = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_grows_by_a_part_and_shrinks_once_for_what_overlapped() {
        let mut width = Width::default();
        let first: Vec<u64> = (0..4).map(|_| width.begin()).collect();
        assert_eq!(width.places(), 4);
        for number in first {
            width.narrow(number);
        }
        assert_eq!(width.places(), 2, "one overlap is one reason");
        for places in [1, 1] {
            let next = width.begin();
            width.narrow(next);
            assert_eq!(width.places(), places, "never less than one");
        }
        (0..1000).for_each(|_| width.widen(true));
        assert_eq!(width.places() as f64, WIDEST);
    }

    #[test]
    fn where_everything_collides_two_are_tried_less_and_less() {
        let mut width = Width::default();
        let mut alone = Vec::new();
        for _ in 0..12 {
            let number = width.begin();
            width.narrow(number);
            let mut successes = 0;
            while width.places() == 1 {
                width.widen(false);
                successes += 1;
            }
            alone.push(successes);
        }
        assert!(alone[..2].iter().all(|successes| *successes < 5), "{alone:?}");
        assert!(alone[3..].iter().all(|successes| (10..20).contains(successes)), "{alone:?}");
        // It comes to know better.
        (0..8).for_each(|_| width.widen(true));
        assert_eq!(width.growth, *GROWTH.end());
    }

    #[tokio::test]
    async fn a_lane_has_as_many_places_as_its_width() {
        let lane = Arc::new(Lane::default());
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(Arc::clone(&lane).turn().await);
        }
        assert_eq!(lane.places.available_permits(), 0);
        assert!(turns[3].collided(), "the other three may be why");
        turns.clear();
        assert_eq!(lane.places.available_permits(), 2);
        let one = Arc::clone(&lane).turn().await;
        assert!(!one.collided(), "nothing else of this lane was under way");
        drop(one);
        assert_eq!(lane.places.available_permits(), 1);
        for _ in 0..5 {
            let turn = Arc::clone(&lane).turn().await;
            turn.succeeded();
        }
        assert_eq!(lane.places.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_call_that_another_joined_was_not_alone() {
        let lane = Arc::new(Lane::default());
        let first = Arc::clone(&lane).turn().await;
        drop(Arc::clone(&lane).turn().await);
        assert!(first.collided());
    }
}
