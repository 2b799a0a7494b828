//! Lines on disk whose turn has not come.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::reading::offsets::Offsets;
use crate::reading::scratch::Scratch;

/// A [scratch file](Scratch) that is made when the first line comes.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Where it is, or will be.
    path: PathBuf,
    /// Where it goes if it cannot be made there.
    elsewhere: PathBuf,
    scratch: Option<Scratch>,
    end: u64,
    places: Offsets,
}

impl Spill {
    /// A spill at `path`, or `elsewhere` if it cannot be made there.
    pub(crate) fn new(path: PathBuf, elsewhere: PathBuf) -> Spill {
        Spill {
            path,
            elsewhere,
            scratch: None,
            end: 0,
            places: Offsets::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file now.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    pub(crate) fn contains(&self, index: u64) -> bool {
        self.places.get(index).is_some()
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.places.last()
    }

    /// Keeps a line. After an error it is not kept, and what was kept before still is.
    pub(crate) fn put(&mut self, index: u64, line: &[u8]) -> io::Result<()> {
        if self.scratch.is_none() {
            self.create()?;
        }
        let Some(Scratch { file, .. }) = &mut self.scratch else {
            return Err(io::ErrorKind::NotFound.into());
        };
        file.seek(SeekFrom::Start(self.end))?;
        let length = line.len() as u64;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(line)?;
        self.places.insert(index, self.end);
        self.end += 8 + length;
        Ok(())
    }

    /// Gives back a line. After an error it can be asked for again.
    pub(crate) fn take(&mut self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let (Some(place), Some(scratch)) = (self.places.get(index), &mut self.scratch) else {
            return Ok(None);
        };
        let file = &mut scratch.file;
        let mut length = [0; 8];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > self.end.saturating_sub(place) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file was changed by others",
            ));
        }
        let mut line = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact(&mut line)?;
        self.places.remove(index);
        if self.places.is_empty() {
            // All was read back: the disk is freed. If that fails the file only stays larger.
            self.end = 0;
            file.set_len(0).ok();
        }
        Ok(Some(line))
    }

    fn create(&mut self) -> io::Result<()> {
        let scratch = Scratch::beside(&self.path).or_else(|_| Scratch::beside(&self.elsewhere))?;
        scratch.path().clone_into(&mut self.path);
        self.scratch = Some(scratch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::Spill;

    #[test]
    fn lines_come_back_and_the_file_shrinks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.spill");
        std::fs::write(&path, "in the way").expect("room");
        let mut spill = Spill::new(path.clone(), PathBuf::new());
        for index in [3, 1, 2] {
            spill
                .put(index, format!("line {index}\n").as_bytes())
                .expect("room");
        }
        assert_eq!(spill.bytes(), 3 * (8 + 7));
        assert_eq!(spill.path(), folder.path().join("out.spill.2"));
        for index in [1, 3, 2] {
            let line = spill.take(index).expect("readable").expect("kept");
            assert_eq!(line, format!("line {index}\n").as_bytes());
        }
        assert_eq!((spill.bytes(), spill.take(1).expect("readable")), (0, None));
        drop(spill);
        assert_eq!(std::fs::read(&path).expect("still there"), b"in the way");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            1
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_crash_would_leave_nothing() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let mut spill = Spill::new("/no/such/folder/x".into(), folder.path().join("out.spill"));
        spill.put(1, b"secret\n").expect("room");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            0
        );
        let metadata = spill
            .scratch
            .as_ref()
            .expect("open")
            .file
            .metadata()
            .expect("known");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}
