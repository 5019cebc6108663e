//! ncpctl.
fn main() {}
