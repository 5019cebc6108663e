//! The wire between a participant and the hub, which a test makes slow, cuts, bends or lets fall silent: a TCP proxy that
//! knows where TLS records begin (RFC 8446, section 5.1) and understands nothing of them.
//!
//! Each connection has a thread for each direction. What the test asks for holds for what passes from then on. A record
//! passes whole or not at all, except at a rate, where it trickles; a daemon writes each frame, or the frames that it has
//! at one moment, as records of their own, so a cut behind each record is a cut behind each frame, and between frames.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::PATIENCE;
use crate::network::free_address;

/// Bytes before the content of a record: type, version, length.
const RECORD_HEAD: usize = 5;
/// How often in a second something passes on a slow wire.
const SLOW_STEPS: u32 = 10;
/// Receive buffer of the proxy on a slow wire, in bytes: a real slow path holds little.
const SLOW_BUFFER: usize = 4 << 10;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the participant to the hub.
    Up,
    /// From the hub to the participant.
    Down,
}

/// A wire. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    /// Bytes that have passed, up and down.
    passed: (u64, u64),
    /// Connections that were made so far.
    connections: u64,
    links: BTreeMap<u64, Link>,
    dropped: bool,
}

/// What happens to what passes.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    delay: Duration,
    /// Bytes a second in each direction.
    rate: Option<u32>,
    /// Records that still pass, in both directions, before all connections are cut.
    cut_after: Option<u64>,
    /// Records that still pass before one is corrupted.
    corrupt_after: Option<u64>,
    /// Bytes that pass one way in all before the wire stands still, without an end.
    held_at: Option<(Way, u64)>,
    /// No connection can be made.
    closed: bool,
}

#[derive(Debug)]
struct Link {
    near: TcpStream,
    far: TcpStream,
    /// Nothing passes any more, and nobody is told.
    swallows: bool,
}

impl Link {
    fn cut(&self) {
        // One that has ended already is cut.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }
}

impl State {
    fn passed(&self, way: Way) -> u64 {
        match way {
            Way::Up => self.passed.0,
            Way::Down => self.passed.1,
        }
    }

    fn cut(&mut self) {
        for link in core::mem::take(&mut self.links).into_values() {
            link.cut();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }
}

impl Wire {
    /// A wire to the hub.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn to(hub: SocketAddr) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("nobody listens there");
        let shared: Arc<Shared> = Arc::default();
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, hub, &serving));
        Self { address, shared }
    }

    /// Where the participant finds the hub.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have passed this way so far.
    #[must_use]
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.lock().passed(way)
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Waits until as many bytes have passed this way in all.
    ///
    /// # Panics
    /// If they do not, and nothing passes for the whole patience.
    pub fn until_passed(&self, way: Way, bytes: u64) {
        let (mut seen, mut since) = (self.passed(way), Instant::now());
        let mut state = self.shared.lock();
        loop {
            let passed = state.passed(way);
            if passed >= bytes {
                return;
            }
            if passed > seen {
                (seen, since) = (passed, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "nothing passes: {passed} of {bytes} bytes");
            let waited = self.shared.changed.wait_timeout(state, Duration::from_secs(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Holds up what goes this way once so many bytes have passed in all, until [`Wire::clear`]: backpressure, no loss.
    pub fn hold_at(&self, way: Way, bytes: u64) {
        self.shared.change(|state| state.weather.held_at = Some((way, bytes)));
    }

    /// From now on each record takes so long.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|state| state.weather.delay = delay);
    }

    /// From now on so many bytes pass in a second, each way.
    pub fn slow(&self, bytes_per_second: u32) {
        self.shared.change(|state| state.weather.rate = Some(bytes_per_second));
    }

    /// Cuts every connection once, when so many more records have passed.
    pub fn cut_after(&self, records: u64) {
        self.shared.change(|state| state.weather.cut_after = Some(records));
    }

    /// Whether what [`Wire::cut_after`] or [`Wire::corrupt_after`] asked for has not happened yet.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        let weather = self.shared.lock().weather;
        weather.cut_after.is_some() || weather.corrupt_after.is_some()
    }

    /// Changes one bit of one record, when so many more have passed.
    pub fn corrupt_after(&self, records: u64) {
        self.shared.change(|state| state.weather.corrupt_after = Some(records));
    }

    /// The connections that stand carry nothing any more, and nobody is told: a path that is half open. New ones do.
    pub fn swallow(&self) {
        self.shared.change(|state| state.links.values_mut().for_each(|link| link.swallows = true));
    }

    /// Cuts all connections and takes no new one until [`Wire::clear`].
    pub fn close(&self) {
        self.shared.change(|state| {
            state.weather.closed = true;
            state.cut();
        });
    }

    /// Good weather again.
    pub fn clear(&self) {
        self.shared.change(|state| state.weather = Weather::default());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.dropped = true;
            state.cut();
        });
        // The acceptor wakes and sees that its wire is gone.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(listener: &TcpListener, hub: SocketAddr, shared: &Arc<Shared>) {
    for near in listener.incoming() {
        let Weather { closed, rate, .. } = {
            let state = shared.lock();
            if state.dropped {
                return;
            }
            state.weather
        };
        // A hub that is away refuses; the participant sees its connection end.
        let (Ok(near), false) = (near, closed) else { continue };
        let Ok(far) = TcpStream::connect(hub) else { continue };
        for stream in [&near, &far] {
            stream.set_nodelay(true).expect("a TCP option");
            if rate.is_some() {
                rustix::net::sockopt::set_socket_recv_buffer_size(stream, SLOW_BUFFER).expect("a socket option");
            }
        }
        let number = shared.change(|state| {
            state.connections += 1;
            let copies = (near.try_clone().expect("a descriptor"), far.try_clone().expect("a descriptor"));
            state.links.insert(state.connections, Link { near: copies.0, far: copies.1, swallows: false });
            state.connections
        });
        let back = (far.try_clone().expect("a descriptor"), near.try_clone().expect("a descriptor"));
        for (way, from, to) in [(Way::Up, near, far), (Way::Down, back.0, back.1)] {
            let shared = Arc::clone(shared);
            thread::spawn(move || carry(&shared, number, way, from, to));
        }
    }
}

/// Carries records until the connection ends.
fn carry(shared: &Shared, number: u64, way: Way, mut from: TcpStream, mut to: TcpStream) {
    while let Some(mut record) = next_record(&mut from) {
        let Some(delay) = fate(shared, number, &mut record) else { continue };
        if !delay.is_zero() {
            rest(shared, delay);
        }
        if pass(shared, (number, way), &record, &mut to).is_err() {
            break;
        }
    }
    if shared.lock().links.get(&number).is_some_and(|link| link.swallows) {
        return;
    }
    // The end of one direction passes; the other goes on until it ends, too.
    let _ = to.shutdown(Shutdown::Write);
}

/// One record with its head; what is left of one at the end of the stream is dropped with it.
fn next_record(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut record = vec![0; RECORD_HEAD];
    from.read_exact(&mut record).ok()?;
    let [.., high, low] = record[..] else { return None };
    record.resize(RECORD_HEAD + usize::from(u16::from_be_bytes([high, low])), 0);
    from.read_exact(&mut record[RECORD_HEAD..]).ok()?;
    Some(record)
}

/// What becomes of a record: how long it takes, or `None` if it goes nowhere.
fn fate(shared: &Shared, number: u64, record: &mut [u8]) -> Option<Duration> {
    let mut state = shared.lock();
    if state.links.get(&number).is_none_or(|link| link.swallows) {
        return None;
    }
    if let Some(left) = state.weather.cut_after {
        state.weather.cut_after = left.checked_sub(1);
        if left == 0 {
            state.cut();
            drop(state);
            shared.changed.notify_all();
            return None;
        }
    }
    if let Some(left) = state.weather.corrupt_after {
        state.weather.corrupt_after = left.checked_sub(1);
        if left == 0 {
            *record.last_mut().expect("a record has a head") ^= 1;
        }
    }
    Some(state.weather.delay)
}

fn pass(shared: &Shared, (number, way): (u64, Way), record: &[u8], to: &mut TcpStream) -> std::io::Result<()> {
    let rate = shared.lock().weather.rate;
    let step = rate.map_or(record.len(), |rate| usize::try_from(rate.div_ceil(SLOW_STEPS)).unwrap_or(1));
    for piece in record.chunks(step) {
        wait_while_held(shared, number, way);
        to.write_all(piece)?;
        shared.change(|state| {
            let passed = if way == Way::Up { &mut state.passed.0 } else { &mut state.passed.1 };
            *passed += piece.len() as u64;
        });
        if rate.is_some() {
            rest(shared, Duration::from_secs(1) / SLOW_STEPS);
        }
    }
    Ok(())
}

/// Waits until the wire goes on, or the connection has been cut.
fn wait_while_held(shared: &Shared, number: u64, way: Way) {
    let held = |state: &mut State| {
        let passed = state.passed(way);
        state.links.contains_key(&number)
            && state.weather.held_at.is_some_and(|(held, bytes)| held == way && passed >= bytes)
    };
    // Woken by every change.
    drop(shared.changed.wait_while(shared.lock(), held));
}

/// Takes time, as the wire does; less once the wire is gone.
fn rest(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    let mut state = shared.lock();
    while !state.dropped {
        let Some(left) = until.checked_duration_since(Instant::now()) else { return };
        state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}
