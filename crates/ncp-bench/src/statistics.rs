//! Latencies and rates: pure.

use core::time::Duration;

/// Measured times in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    /// Of these times, in any order.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The smallest measured time that at least `per_mille` of a thousand times do not exceed (nearest rank); zero if nothing
    /// was measured.
    pub(crate) fn percentile(&self, per_mille: usize) -> Duration {
        let rank = (self.0.len() * per_mille).div_ceil(1_000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

/// How many of something in a second; zero if no time has passed.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(millis: &[u64]) -> Spread {
        Spread::of(millis.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn percentiles_are_measured_times() {
        let check = |times: &[u64], per_mille, expected| {
            assert_eq!(
                spread(times).percentile(per_mille),
                Duration::from_millis(expected),
                "{times:?} at {per_mille}"
            );
        };
        let hundred: Vec<u64> = (1..=100).rev().collect();
        check(&hundred, 500, 50);
        check(&hundred, 990, 99);
        check(&hundred, 999, 100);
        check(&hundred, 1_000, 100);
        check(&hundred, 0, 1);
        check(&[7], 500, 7);
        check(&[7], 999, 7);
        check(&[3, 1, 2], 500, 2);
        check(&[4, 1, 2, 3], 500, 2);
        check(&[], 500, 0);
    }

    #[test]
    fn rates_need_time() {
        assert!((per_second(1_200, Duration::from_millis(500)) - 2_400.0).abs() < 1e-9);
        assert!(per_second(5, Duration::ZERO).abs() < 1e-9);
    }
}
