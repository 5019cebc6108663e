//! The raw rate of fdatasync on the disk that the daemons use: what bounds every group that they commit.
//!
//! Blocks are overwritten in a file that was filled before, as journal and spool do it: such a sync carries no change of the
//! file's length.

use core::time::Duration;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use crate::statistics::Spread;
use crate::trouble::Trouble;

/// One block, as journal and spool begin each group on one.
const BLOCK: usize = 4 << 10;
/// Blocks that are overwritten in turn.
const BLOCKS: u64 = 1_024;
/// How long is measured.
const TIME: Duration = Duration::from_secs(2);

/// What the disk does.
#[derive(Debug, Clone)]
pub(crate) struct Syncs {
    /// How long each took, write and sync.
    pub(crate) times: Spread,
    /// How many.
    pub(crate) count: u64,
    /// In what time.
    pub(crate) time: Duration,
}

/// Measures in a folder. Blocks for about two seconds.
pub(crate) fn measure(folder: &Path) -> Result<Syncs, Trouble> {
    overwrite(&folder.join("sync")).map_err(|error| Trouble::system("measuring the disk", error))
}

fn overwrite(path: &Path) -> io::Result<Syncs> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    let block = [0x5a; BLOCK];
    for number in 0..BLOCKS {
        file.write_all_at(&block, number * BLOCK as u64)?;
    }
    file.sync_all()?;
    let (mut times, mut count, begun) = (Vec::new(), 0_u64, Instant::now());
    while begun.elapsed() < TIME {
        let before = Instant::now();
        file.write_all_at(&block, count % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        times.push(before.elapsed());
        count += 1;
    }
    let time = begun.elapsed();
    std::fs::remove_file(path)?;
    Ok(Syncs { times: Spread::of(times), count, time })
}
