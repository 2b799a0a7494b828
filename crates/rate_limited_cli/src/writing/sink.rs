//! An open output.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::reading::spill::Spill;
use crate::writing::output::OutputError;

/// An open output that takes whole lines.
///
/// Lines are gathered and written together. What could not be written stays and is written first the
/// next time, so that an error loses nothing and never leaves half a line in the middle.
#[derive(Debug)]
pub struct Sink {
    name: String,
    kind: Kind,
    ready: Vec<u8>,
    /// Where lines end in what is ready, and how many lines end there.
    ends: VecDeque<(usize, u64)>,
    /// What stands before the first line.
    head: Option<Vec<u8>>,
    /// The line ends that were written.
    lines: u64,
    path: Option<PathBuf>,
}

/// What lies behind an output.
pub(crate) enum Kind {
    /// A file that can be cut back.
    File(File),
    Stdout(io::Stdout),
    Device(Box<dyn Write + Send>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File(_) => "File",
            Kind::Stdout(_) => "Stdout",
            Kind::Device(_) => "Device",
        })
    }
}

impl Kind {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Kind::File(file) => file,
            Kind::Stdout(stdout) => stdout,
            Kind::Device(writer) => writer,
        }
    }
}

impl Sink {
    /// An output that is neither a file nor standard output; `name` is for messages.
    pub fn writer(name: &str, writer: Box<dyn Write + Send>) -> Sink {
        Sink::new(name.to_owned(), Kind::Device(writer), None)
    }

    pub(crate) fn new(name: String, kind: Kind, path: Option<&Path>) -> Sink {
        Sink {
            name,
            kind,
            ready: Vec::new(),
            ends: VecDeque::new(),
            head: None,
            lines: 0,
            path: path.map(Path::to_owned),
        }
    }

    /// Where lines may wait for their turn: beside a file, else in the folder for temporary files.
    pub(crate) fn spill(&self) -> Spill {
        let name = format!("rate-limited-{}.spill", std::process::id());
        let elsewhere = std::env::temp_dir().join(name);
        let beside = self.path.as_ref().map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".spill");
            PathBuf::from(name)
        });
        Spill::new(beside.unwrap_or_else(|| elsewhere.clone()), elsewhere)
    }

    /// The bytes gathered and not yet written.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// The whole lines that were written.
    pub(crate) fn lines_written(&self) -> u64 {
        self.lines
    }

    /// Cuts a file behind a line end, `bytes` from its beginning and behind so many lines, and goes on
    /// there.
    ///
    /// It is cut in place: what is there at any moment is a beginning of the whole, a copy of it would take
    /// as much room again, and what is cut off is in the journal or says that a call was not run.
    pub(crate) fn cut(&mut self, lines: u64, bytes: u64) -> Result<(), OutputError> {
        let Kind::File(file) = &mut self.kind else {
            return Ok(());
        };
        let cut = file.set_len(bytes);
        let cut = cut.and_then(|()| file.seek(SeekFrom::Start(bytes)).map(|_| ()));
        self.lines = lines;
        if bytes > 0 {
            self.head = None;
        }
        cut.map_err(|source| OutputError::Write {
            name: self.name.clone(),
            source,
        })
    }

    /// Puts a text, which is no line, before the first line of an output that has none.
    pub(crate) fn begin_with(&mut self, head: Option<Vec<u8>>) {
        self.head = head;
    }

    /// Gathers a line for the next [`Sink::flush`]. It may have line breaks within.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.push_head();
        self.ready.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.ready.push(b'\n');
        }
        self.ends.push_back((self.ready.len(), 1));
    }

    fn push_head(&mut self) {
        if let Some(head) = self.head.take() {
            self.ready.extend_from_slice(&head);
            self.ends.push_back((self.ready.len(), 0));
        }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        let mut written = 0;
        let result = self.write_ready(&mut written);
        if let (Err(_), Kind::File(file)) = (&result, &mut self.kind) {
            let ended = self.ends.partition_point(|(end, _)| *end <= written);
            let last = ended.checked_sub(1).and_then(|last| self.ends.get(last));
            let whole = last.map_or(0, |(end, _)| *end);
            // If even this fails, the rest of the line follows should writing succeed again.
            if cut_back(file, written - whole).is_ok() {
                written = whole;
            }
        }
        self.ready.drain(..written);
        let ended = self.ends.partition_point(|(end, _)| *end <= written);
        self.lines += self
            .ends
            .drain(..ended)
            .map(|(_, lines)| lines)
            .sum::<u64>();
        self.ends.iter_mut().for_each(|(end, _)| *end -= written);
        result.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Closed(self.name.clone()),
            _ => OutputError::Write {
                name: self.name.clone(),
                source,
            },
        })
    }

    fn write_ready(&mut self, written: &mut usize) -> io::Result<()> {
        let writer = self.kind.writer();
        while *written < self.ready.len() {
            match writer.write(&self.ready[*written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        writer.flush()
    }

    /// Writes what was gathered, and for a file waits until the disk has it.
    pub(crate) fn finish(&mut self) -> Result<(), OutputError> {
        self.push_head();
        self.flush()?;
        match &self.kind {
            Kind::File(file) => file.sync_all().map_err(|source| OutputError::Write {
                name: self.name.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

/// Takes the last bytes off a file that was written to its end.
fn cut_back(file: &mut File, bytes: usize) -> io::Result<()> {
    if bytes > 0 {
        let end = file.stream_position()?.saturating_sub(bytes as u64);
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::{Kind, Sink, cut_back};

    #[test]
    fn a_part_of_a_line_is_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = fs::File::create(&path).expect("new");
        file.write_all(b"whole\nhal").expect("room");
        cut_back(&mut file, 3).expect("possible");
        file.write_all(b"half\n").expect("room");
        assert_eq!(fs::read(&path).expect("there"), b"whole\nhalf\n");
    }

    #[test]
    fn a_line_that_was_not_written_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        fs::write(&path, "").expect("room");
        let read_only = fs::File::open(&path).expect("there");
        let mut sink = Sink::new("out".to_owned(), Kind::File(read_only), Some(&path));
        sink.push(b"line");
        sink.flush().expect_err("read only");
        assert_eq!(
            (sink.ready_bytes(), fs::read(&path).expect("there")),
            (5, Vec::new())
        );
    }
}
