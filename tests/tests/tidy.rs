//! Rules of the source tree that a compiler does not check: dependency arrows, pure cores, single doors, words, lengths.
//!
//! Lengths are a ratchet: a file or function may stay as long as it was when it was listed, and no new one may join
//! without a reason at its line in the list.

#[cfg(test)]
mod tidy {
    pub(crate) mod arrows;
    pub(crate) mod documents;
    pub(crate) mod errors;
    pub(crate) mod lengths;
    pub(crate) mod source;
    pub(crate) mod tree;
    pub(crate) mod words;
}
