//! What only one route may have: its name, its host and path, its key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use crate::config::diagnostic::{Diagnostic, Report};
use crate::config::source::Place;

/// Who came first.
#[derive(Debug)]
pub(super) struct Seen<T> {
    places: RefCell<HashMap<T, Place>>,
}

impl<T: Eq + Hash> Seen<T> {
    pub(super) fn new() -> Self {
        Self { places: RefCell::default() }
    }

    /// Notes that `thing` stands at `place`; an error that names both places where it is somewhere else already.
    pub(super) fn once(&self, thing: T, place: &Place, report: &Report, error: impl FnOnce() -> String) {
        let mut places = self.places.borrow_mut();
        match places.get(&thing) {
            Some(earlier) => report.push(Diagnostic::error(place, error()).also(earlier, "here first")),
            None => drop(places.insert(thing, place.clone())),
        }
    }
}
