//! A view through layers of writes over a base.
//!
//! Looks each row up newest layer first and hides what a layer removed. Writes nothing, and keeps nothing between two
//! looks. A base that cannot tell is the caller's [`Unreadable`].

use core::iter::Peekable;
use core::ops::ControlFlow;

use crate::index::Write;
use crate::state::{Rows, Unreadable, View, Visit};

/// A view through layers of writes over a base: the last layer is the newest.
pub struct Layers<'a> {
    base: &'a dyn View,
    layers: Vec<&'a Rows>,
}

impl<'a> Layers<'a> {
    /// `layers`, oldest first, over `base`.
    pub fn new(base: &'a dyn View, layers: impl IntoIterator<Item = &'a Rows>) -> Self {
        Self { base, layers: layers.into_iter().collect() }
    }
}

impl View for Layers<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.layers.iter().rev().find_map(|rows| rows.written(key)) {
            Some(written) => Ok(written.map(<[u8]>::to_vec)),
            None => self.base.row(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        let mut over = Merged::new(self.layers.iter().map(|rows| rows.range(from, to)));
        let mut broken = false;
        self.base.scan(from, to, &mut |key, value| {
            // Rows of the layers that stand before this one.
            while let Some((new_key, new)) = over.next_if(|new_key| new_key < key) {
                if let Some(new) = new
                    && visit(new_key, new).is_break()
                {
                    broken = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = match over.next_if(|new_key| new_key == key) {
                Some((_, Some(new))) => visit(key, new),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            broken = flow.is_break();
            flow
        })?;
        while !broken && let Some((key, value)) = over.next_if(|_| true) {
            broken = value.is_some_and(|value| visit(key, value).is_break());
        }
        Ok(())
    }
}

/// The writes of several layers in key order, the newest of each key; looked at one by one, since most scans end soon.
struct Merged<'a, W: Iterator<Item = Write<'a>>> {
    // Oldest first.
    layers: Vec<Peekable<W>>,
    next: Option<Write<'a>>,
}

impl<'a, W: Iterator<Item = Write<'a>>> Merged<'a, W> {
    fn new(layers: impl Iterator<Item = W>) -> Self {
        let mut merged = Self { layers: layers.map(Iterator::peekable).collect(), next: None };
        merged.advance();
        merged
    }

    fn advance(&mut self) {
        let first = self.layers.iter_mut().filter_map(|layer| Some(layer.peek()?.0)).min();
        self.next = None;
        for layer in &mut self.layers {
            let write = layer.next_if(|(key, _)| Some(*key) == first);
            self.next = write.or(self.next);
        }
    }

    fn next_if(&mut self, wanted: impl FnOnce(&[u8]) -> bool) -> Option<Write<'a>> {
        let write = self.next.filter(|(key, _)| wanted(key))?;
        self.advance();
        Some(write)
    }
}
