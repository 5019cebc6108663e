//! Frames over an in-memory pipe, under a paused clock: time passes only where a test lets it.

use tokio::io::DuplexStream;
use tokio::time::advance;

use super::*;
use crate::limits::{IDLE_TIMEOUT, IDLE_TIMEOUT_STRESS};

fn any_kind(_: u8) -> Option<usize> {
    Some(FRAME_MAX - 1)
}

fn reader(size: usize) -> (DuplexStream, FrameReader<DuplexStream>) {
    let (peer, own) = tokio::io::duplex(size);
    (peer, FrameReader::new(own, IdleLimit::fixed(IDLE_TIMEOUT), any_kind))
}

fn frame(kind: u8, length: usize) -> RawFrame {
    RawFrame { kind, payload: (0..=250).cycle().take(length).collect() }
}

/// Reads what was sent and then the end of the pipe.
async fn read(bytes: &[u8]) -> (Result<Option<RawFrame>, FrameError>, FrameReader<DuplexStream>) {
    let (mut peer, mut reader) = reader(1 << 20);
    peer.write_all(bytes).await.unwrap();
    drop(peer);
    (reader.next().await, reader)
}

#[tokio::test]
async fn frame_is_length_kind_payload() {
    #[rustfmt::skip]
    let bytes = [
        0x04, 0x00, 0x00, 0x00, // length of kind and payload
        0x2a,                   // kind
        0x61, 0x62, 0x63,       // payload
        0x01, 0x00, 0x00, 0x00, // a second frame, without payload
        0x07,
    ];
    let (first, mut reader) = read(&bytes).await;
    assert_eq!(first, Ok(Some(RawFrame { kind: 42, payload: b"abc".to_vec() })));
    assert_eq!(reader.next().await, Ok(Some(RawFrame { kind: 7, payload: vec![] })));
    assert_eq!(reader.next().await, Ok(None));

    let (own, mut peer) = tokio::io::duplex(1 << 10);
    let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
    writer.feed(&RawFrame { kind: 42, payload: b"abc".to_vec() }).await.unwrap();
    writer.feed(&RawFrame { kind: 7, payload: vec![] }).await.unwrap();
    writer.close().await.unwrap();
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, bytes);
}

#[tokio::test]
async fn frames_of_every_size_pass_a_narrow_pipe() {
    let sizes = [0, 1, 4, 5, READ_STEP - 1, READ_STEP, READ_STEP + 1, WRITE_GATHER, FRAME_MAX - 1];
    let frames: Vec<_> = (0..).zip(sizes).map(|(kind, size)| frame(kind, size)).collect();
    let sent = frames.clone();
    let (own, mut reader) = reader(1000);
    let sending = tokio::spawn(async move {
        let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
        for frame in &sent {
            writer.feed(frame).await?;
        }
        writer.close().await
    });
    for frame in frames {
        assert_eq!(reader.next().await, Ok(Some(frame)));
    }
    assert_eq!(reader.next().await, Ok(None));
    assert_eq!(sending.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn length_is_checked_before_allocation() {
    for claimed in [u32::try_from(FRAME_MAX).unwrap() + 1, u32::MAX] {
        let (outcome, reader) = read(&claimed.to_le_bytes()).await;
        assert_eq!(outcome, Err(FrameError::TooLong { claimed }));
        assert_eq!(reader.payload.capacity(), 0);
    }
    assert_eq!(read(&[0; 4]).await.0, Err(FrameError::Empty));
}

#[tokio::test]
async fn kind_bounds_its_payload_before_allocation() {
    let bounds: PayloadMax = |kind| (kind == 1).then_some(2);
    for (head, expected) in
        [([4, 0, 0, 0, 1], FrameError::TooLong { claimed: 4 }), ([2, 0, 0, 0, 9], FrameError::UnknownKind { kind: 9 })]
    {
        let mut reader = FrameReader::new(&head[..], IdleLimit::fixed(IDLE_TIMEOUT), bounds);
        assert_eq!(reader.next().await, Err(expected));
        assert_eq!(reader.payload.capacity(), 0);
    }
    let mut reader = FrameReader::new(&[3, 0, 0, 0, 1, 5, 6][..], IdleLimit::fixed(IDLE_TIMEOUT), bounds);
    assert_eq!(reader.next().await, Ok(Some(RawFrame { kind: 1, payload: vec![5, 6] })));
}

#[tokio::test]
async fn memory_grows_with_what_arrives() {
    let (mut peer, mut reader) = reader(1 << 20);
    peer.write_all(&u32::try_from(FRAME_MAX).unwrap().to_le_bytes()).await.unwrap();
    peer.write_all(&[1; 100]).await.unwrap();
    drop(peer);
    assert_eq!(reader.next().await, Err(FrameError::Truncated { received: 104 }));
    assert!(reader.payload.capacity() <= READ_STEP, "{}", reader.payload.capacity());
}

#[tokio::test]
async fn end_inside_a_frame_is_no_clean_end() {
    let whole = [0x03, 0, 0, 0, 9, 1, 2];
    for cut in 1..whole.len() {
        assert_eq!(read(&whole[..cut]).await.0, Err(FrameError::Truncated { received: cut }));
    }
    assert_eq!(read(&[]).await.0, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_link_at_the_idle_limit() {
    let (_peer, mut reader) = reader(64);
    let begin = Instant::now();
    assert_eq!(reader.next().await, Err(FrameError::Idle));
    assert_eq!(begin.elapsed().as_secs(), IDLE_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn idle_limit_falls_for_links_that_wait_already() {
    let (control, idle) = IdleLimit::adjustable(IDLE_TIMEOUT);
    let (_peer, own) = tokio::io::duplex(64);
    let mut reader = FrameReader::new(own, idle, any_kind);
    let begin = Instant::now();
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    advance(Duration::from_secs(4)).await;
    control.send(IDLE_TIMEOUT_STRESS).unwrap();
    assert_eq!(waiting.await.unwrap(), Err(FrameError::Idle));
    assert_eq!(begin.elapsed().as_secs(), IDLE_TIMEOUT_STRESS.as_secs());
}

#[tokio::test(start_paused = true)]
async fn cancelling_neither_loses_bytes_nor_stops_the_clock() {
    let (mut peer, mut reader) = reader(64);
    let begin = Instant::now();
    peer.write_all(&[2, 0, 0, 0, 9]).await.unwrap();
    // Cut off once a second, as by a `select!` with a ticker; the last byte never comes.
    let outcome = loop {
        if let Ok(outcome) = timeout(Duration::from_secs(1), reader.next()).await {
            break outcome;
        }
    };
    assert_eq!(outcome, Err(FrameError::TooSlow));
    assert!(begin.elapsed() <= RATE_GRACE + Duration::from_secs(2));

    peer.write_all(&[7]).await.unwrap();
    assert_eq!(reader.next().await, Ok(Some(RawFrame { kind: 9, payload: vec![7] })));
}

/// Sends a frame of 20,000 bytes in pieces, one each second, and says how it ended and after how long.
async fn trickle(bytes_per_second: usize) -> (Result<Option<RawFrame>, FrameError>, u64) {
    let sent = frame(3, 20_000 - 5);
    let (mut peer, mut reader) = reader(1 << 20);
    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        let mut bytes = (u32::try_from(sent.payload.len()).unwrap() + 1).to_le_bytes().to_vec();
        bytes.push(sent.kind);
        bytes.extend(sent.payload);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        for piece in bytes.chunks(bytes_per_second) {
            ticks.tick().await;
            if peer.write_all(piece).await.is_err() {
                return;
            }
        }
    });
    let outcome = reader.next().await;
    drop(reader);
    sending.await.unwrap();
    (outcome, begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn minimum_rate_holds_inside_a_frame() {
    let (outcome, seconds) = trickle(500).await;
    assert_eq!(outcome, Ok(Some(frame(3, 20_000 - 5))));
    assert_eq!(seconds, 39);
    // At 100 bytes a second the frame falls behind when 10 s + n·100/500 s are less than n s: n = 12.5.
    let (outcome, seconds) = trickle(100).await;
    assert_eq!(outcome, Err(FrameError::TooSlow));
    assert!((12..=14).contains(&seconds), "{seconds}");
    // One byte every now and then, inside the length field: the grace, and no more.
    let (outcome, seconds) = trickle(1).await;
    assert_eq!(outcome, Err(FrameError::TooSlow));
    assert!((10..=11).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn peer_that_does_not_read_stalls_the_writer_alone_for_the_idle_limit() {
    let (own, _peer) = tokio::io::duplex(64);
    let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
    let begin = Instant::now();
    assert_eq!(writer.send(&frame(1, 1000)).await, Err(FrameError::Stalled));
    assert_eq!(begin.elapsed().as_secs(), IDLE_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn flush_goes_on_where_it_was_cancelled() {
    let (own, peer) = tokio::io::duplex(64);
    let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
    assert!(timeout(Duration::from_secs(1), writer.send(&frame(1, 1000))).await.is_err());
    let mut reader = FrameReader::new(peer, IdleLimit::fixed(IDLE_TIMEOUT), any_kind);
    let (flushed, read) = tokio::join!(writer.flush(), reader.next());
    assert_eq!((flushed, read), (Ok(()), Ok(Some(frame(1, 1000)))));
}

#[tokio::test]
async fn own_frame_that_is_too_long_is_refused_and_leaves_no_trace() {
    let (own, peer) = tokio::io::duplex(1 << 10);
    let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
    let refused = writer.send(&frame(1, FRAME_MAX)).await;
    assert_eq!(refused, Err(FrameError::OwnTooLong { length: FRAME_MAX + 1 }));
    writer.send(&frame(2, 3)).await.unwrap();
    let mut reader = FrameReader::new(peer, IdleLimit::fixed(IDLE_TIMEOUT), any_kind);
    assert_eq!(reader.next().await, Ok(Some(frame(2, 3))));
}

#[tokio::test(start_paused = true)]
async fn frames_are_written_together() {
    let (own, mut peer) = tokio::io::duplex(1 << 20);
    let mut writer = FrameWriter::new(own, IdleLimit::fixed(IDLE_TIMEOUT));
    for kind in 0..100 {
        writer.feed(&frame(kind, 10)).await.unwrap();
    }
    let mut bytes = [0; 2000];
    let nothing_yet = timeout(Duration::from_secs(1), peer.read(&mut bytes)).await;
    assert!(nothing_yet.is_err(), "fed frames wait for the flush");
    writer.flush().await.unwrap();
    assert_eq!(peer.read(&mut bytes).await.unwrap(), 100 * (HEAD + 10));
}

#[tokio::test(start_paused = true)]
async fn silence_and_rate_are_reckoned_apart_and_anew_for_each_frame() {
    let (mut peer, mut reader) = reader(64);
    let sending = tokio::spawn(async move {
        for _ in 0..3 {
            sleep_until(Instant::now() + IDLE_TIMEOUT - Duration::from_secs(1)).await;
            peer.write_all(&[2, 0, 0]).await.unwrap();
            sleep_until(Instant::now() + RATE_GRACE - Duration::from_secs(1)).await;
            peer.write_all(&[0, 9, 7]).await.unwrap();
        }
        peer
    });
    for _ in 0..3 {
        assert_eq!(reader.next().await, Ok(Some(RawFrame { kind: 9, payload: vec![7] })));
    }
    sending.await.unwrap();
}
