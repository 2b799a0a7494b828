use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use proptest::prelude::*;
use rate_limited_cli::writing::output::{Existing, OutputError, OutputTarget};
use rate_limited_cli::writing::reorder::{Order, OrderedWriter};
use rate_limited_cli::writing::sink::Sink;

/// A writer whose content can be looked at, which fails while it has no room and counts its writes.
#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

struct State {
    text: Vec<u8>,
    room: usize,
    kind: io::ErrorKind,
    writes: usize,
}

impl Shared {
    fn new() -> Shared {
        let state = State {
            text: Vec::new(),
            room: usize::MAX,
            kind: io::ErrorKind::StorageFull,
            writes: 0,
        };
        Shared(Arc::new(Mutex::new(state)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn text(&self) -> String {
        self.with(|state| String::from_utf8_lossy(&state.text).into_owned())
    }

    fn writer(&self, order: Order) -> OrderedWriter {
        OrderedWriter::new(Sink::writer("out", Box::new(self.clone())), order)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|state| {
            let count = bytes.len().min(state.room);
            if count == 0 {
                return Err(state.kind.into());
            }
            state.room -= count;
            state.writes += 1;
            state.text.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(index: u64) -> Vec<u8> {
    let length = usize::try_from(index * 37 % 90).unwrap_or_default();
    format!("{index} {}\n", "x".repeat(length)).into_bytes()
}

fn lines(range: std::ops::Range<u64>) -> String {
    range
        .map(|index| String::from_utf8_lossy(&line(index)).into_owned())
        .collect()
}

#[test]
fn each_line_is_out_as_soon_as_its_turn_comes() {
    let shared = Shared::new();
    let mut writer = shared.writer(Order::Input);
    for index in [2, 1, 4] {
        writer.put(index, line(index)).expect("room");
        assert_eq!(shared.text(), "");
    }
    writer.put(0, line(0)).expect("room");
    assert_eq!(shared.text(), lines(0..3));
    assert_eq!(
        shared.with(|state| state.writes),
        1,
        "lines ready at once are written at once"
    );
    assert_eq!(writer.next_index(), 3);
    writer.put(3, line(3)).expect("room");
    assert_eq!(shared.text(), lines(0..5));
    assert_eq!((writer.memory_bytes(), writer.spill_bytes()), (0, 0));
}

#[test]
fn in_the_order_of_completion_nothing_waits() {
    let shared = Shared::new();
    let mut writer = shared.writer(Order::Completion);
    for index in [2, 0, 4] {
        writer.put(index, b"done\n".to_vec()).expect("room");
    }
    assert_eq!(shared.text(), "done\n".repeat(3));
    writer
        .finish(6, |index| format!("{index} missing\n").into_bytes())
        .expect("room");
    assert_eq!(
        shared.text(),
        format!("{}1 missing\n3 missing\n5 missing\n", "done\n".repeat(3))
    );
}

#[test]
fn a_line_given_twice_is_refused() {
    for order in [Order::Input, Order::Completion] {
        let shared = Shared::new();
        // Memory for one line, so that one waits in memory and one on the disk.
        let mut writer = shared.writer(order).memory_bytes_max(80);
        for index in [0, 2, 3] {
            writer.put(index, b"x\n".to_vec()).expect("room");
        }
        for index in [0, 2, 3] {
            let error = writer.put(index, b"y\n".to_vec()).expect_err("twice");
            assert_eq!(
                error.to_string(),
                format!("line {index} of the output was given twice")
            );
        }
        assert!(!shared.text().contains('y'));
    }
}

#[test]
fn lines_beyond_the_total_are_not_lost() {
    let shared = Shared::new();
    let mut writer = shared.writer(Order::Input);
    writer.put(3, line(3)).expect("room");
    writer.finish(1, line).expect("room");
    assert_eq!(shared.text(), lines(0..4));
}

#[test]
fn a_missing_line_end_is_added() {
    let shared = Shared::new();
    shared
        .writer(Order::Input)
        .finish(2, |index| index.to_string().into_bytes())
        .expect("room");
    assert_eq!(shared.text(), "0\n1\n");
}

#[test]
fn a_closed_pipe_is_told_apart() {
    let shared = Shared::new();
    shared.with(|state| (state.room, state.kind) = (0, io::ErrorKind::BrokenPipe));
    let error = shared
        .writer(Order::Input)
        .put(0, line(0))
        .expect_err("closed");
    assert!(matches!(&error, OutputError::Closed(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the reader of the output out has gone: nothing more can be written"
    );
}

#[test]
fn after_a_full_disk_writing_goes_on_where_it_stopped() {
    let shared = Shared::new();
    let mut writer = shared.writer(Order::Input);
    writer.put(1, line(1)).expect("waits in memory");
    shared.with(|state| state.room = line(0).len() + 3);
    let error = writer.put(0, line(0)).expect_err("full");
    assert!(
        error
            .to_string()
            .starts_with("failed to write the output out: "),
        "{error}"
    );
    writer.put(2, line(2)).expect_err("still full");
    shared.with(|state| state.room = usize::MAX);
    writer.put(3, line(3)).expect("room again");
    assert_eq!(shared.text(), lines(0..4));
}

#[test]
fn a_queue_much_larger_than_memory_goes_through_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.jsonl");
    let sink = OutputTarget::File(path.clone())
        .open(None, Existing::Refused)
        .expect("new");
    let mut writer = OrderedWriter::new(sink, Order::Input).memory_bytes_max(10_000);
    for index in (1..20_000).rev() {
        writer.put(index, line(index)).expect("room");
        assert!(writer.memory_bytes() <= 10_000);
    }
    assert!(writer.spill_bytes() > 900_000);
    let names = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(names, if cfg!(unix) { 1 } else { 2 });
    writer.put(0, line(0)).expect("room");
    assert_eq!((writer.spill_bytes(), writer.memory_bytes()), (0, 0));
    drop(writer);
    assert_eq!(
        std::fs::read_to_string(&path).expect("there"),
        lines(0..20_000)
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("readable").count(),
        1
    );
}

/// Which indexes come, in which order, and how many there should be.
fn arrivals() -> impl Strategy<Value = (Vec<u64>, u64)> {
    (1..120_u64).prop_flat_map(|total| {
        let some = proptest::sample::subsequence(
            (0..total).collect::<Vec<_>>(),
            0..=usize::try_from(total).unwrap_or(0),
        );
        (some.prop_shuffle(), Just(total))
    })
}

proptest! {
    #[test]
    fn any_order_in_is_order_out((arrivals, total) in arrivals(), memory in 0..2_000_usize) {
        let shared = Shared::new();
        let mut writer = shared.writer(Order::Input).memory_bytes_max(memory);
        let mut came = std::collections::BTreeSet::new();
        for &index in &arrivals {
            writer.put(index, line(index)).expect("room");
            came.insert(index);
            let prefix = (0..total).find(|index| !came.contains(index)).unwrap_or(total);
            prop_assert_eq!(shared.text(), lines(0..prefix));
            prop_assert!(writer.memory_bytes() <= memory);
        }
        let mut filled = Vec::new();
        writer.finish(total, |index| { filled.push(index); line(index) }).expect("room");
        prop_assert_eq!(shared.text(), lines(0..total));
        prop_assert_eq!(filled, (0..total).filter(|index| !came.contains(index)).collect::<Vec<_>>());
    }

    #[test]
    fn errors_lose_nothing((arrivals, total) in arrivals(), memory in 0..2_000_usize, rooms in proptest::collection::vec(0..300_usize, 1..40)) {
        let shared = Shared::new();
        let mut writer = shared.writer(Order::Input).memory_bytes_max(memory);
        for (step, &index) in arrivals.iter().enumerate() {
            shared.with(|state| state.room = rooms[step % rooms.len()]);
            // It may fail; what was given is kept all the same.
            let _ = writer.put(index, line(index));
        }
        let mut tries = 0;
        loop {
            shared.with(|state| state.room = 50 + rooms[tries % rooms.len()]);
            tries += 1;
            if writer.finish(total, line).is_ok() { break; }
            prop_assert!(tries < 1_000);
        }
        prop_assert_eq!(shared.text(), lines(0..total));
    }
}
