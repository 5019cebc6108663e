//! A bar for a transfer that takes a while.

use indicatif::{ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::output::Verbosity;

/// Less is there before a bar could be read.
const BAR_FROM: u64 = 4 << 20;

/// A bar for so many bytes; indicatif draws it on a terminal only, on standard error.
pub(crate) fn bar(context: &Context, length: u64) -> ProgressBar {
    if length < BAR_FROM || context.output.verbosity == Verbosity::Quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
