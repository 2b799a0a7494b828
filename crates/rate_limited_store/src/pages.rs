//! Rows read from the pages themselves: what the database cannot reach any more may still be whole.
//!
//! Of the file format of `SQLite` (<https://sqlite.org/fileformat2.html>) this knows leaves of tables,
//! chains of overflow pages, records, and frames of the log; checksums of rows say what can be believed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::types::ValueRef;

use crate::place;
use crate::rows::Fields;
use crate::schema::PAGE;

/// The bytes before the frames of a log, and before the page in each frame.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// The bytes before the page tree on the first page.
const FILE_HEADER: usize = 100;

/// The first byte of a leaf of a table.
const LEAF: u8 = 13;

/// The pages of a journal and of its log.
pub(crate) struct Pages {
    file: File,
    /// Pages in the file, whole ones.
    filed: u64,
    log: Option<File>,
    /// Frames in the log, whole ones.
    frames: u64,
    /// Where a page was written last, and where last by a frame that is whole.
    last: HashMap<u32, Leaf>,
    last_of_run: HashMap<u32, Leaf>,
}

/// A page: in the log or the file, and where it begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    in_log: bool,
    at: u64,
}

/// A row: its page, the place of its cell there, and which copies its other pages are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    leaf: Leaf,
    cell: u16,
    copies: Copies,
}

/// Which copies of the pages of a long row are taken. A checksum says whether they were the right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    OfRun,
    OfFile,
    Last,
}

impl Spot {
    /// Whether the row lies in the file, not in its log.
    pub(crate) fn is_filed(self) -> bool {
        !self.leaf.in_log
    }
}

impl Pages {
    pub(crate) fn open(journal: &Path) -> io::Result<Pages> {
        let file = place::open_to_read(journal)?;
        let log = place::open_to_read(&place::beside(journal, "-wal")).ok();
        let frame = FRAME_HEADER + PAGE as u64;
        let frames = match &log {
            Some(log) => log.metadata()?.len().saturating_sub(LOG_HEADER) / frame,
            None => 0,
        };
        let mut pages = Pages {
            filed: file.metadata()?.len() / PAGE as u64,
            file,
            log,
            frames,
            last: HashMap::new(),
            last_of_run: HashMap::new(),
        };
        pages.index()?;
        Ok(pages)
    }

    /// Finds where each page stands in the log.
    fn index(&mut self) -> io::Result<()> {
        if self.frames == 0 {
            return Ok(());
        }
        let mut start = [0; LOG_HEADER as usize];
        self.read(true, 0, &mut start)?;
        let is_big = start[3] & 1 == 1;
        let mut sums = [number(&start, 24), number(&start, 28)];
        let mut salts = None;
        let mut frame = [0; FRAME_HEADER as usize + PAGE];
        for leaf in (0..self.frames).map(leaf_of_log) {
            self.read(true, leaf.at - FRAME_HEADER, &mut frame)?;
            let header = frame.first_chunk::<{ FRAME_HEADER as usize }>();
            let Some(header) = header else { continue };
            let page = number(header, 0);
            self.last.insert(page, leaf);
            // Each frame goes on from the sums of the one before, as that has them.
            let added = add_up(sums, &header[..8], is_big);
            let added = add_up(added, &frame[FRAME_HEADER as usize..], is_big);
            sums = [number(header, 16), number(header, 20)];
            let salt = [number(header, 8), number(header, 12)];
            if added == sums && *salts.get_or_insert(salt) == salt {
                self.last_of_run.insert(page, leaf);
            }
        }
        Ok(())
    }

    /// Shows each row that can be read at all, those that were written last first; `show` says whether it
    /// is what was written.
    pub(crate) fn each(&self, show: &mut dyn FnMut(&Record, Spot) -> bool) -> io::Result<()> {
        let logged = (0..self.frames).rev().map(leaf_of_log);
        let filed = (0..self.filed).map(|page| Leaf {
            in_log: false,
            at: page * PAGE as u64,
        });
        let mut page = [0; PAGE];
        for leaf in logged.chain(filed) {
            self.read(leaf.in_log, leaf.at, &mut page)?;
            for cell in cells(&page, leaf) {
                for copies in [Copies::OfRun, Copies::OfFile, Copies::Last] {
                    let spot = Spot { leaf, cell, copies };
                    let Some((record, is_long)) = self.record(&page, spot) else {
                        continue;
                    };
                    if show(&record, spot) || !is_long {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a row once more.
    pub(crate) fn at(&self, spot: Spot) -> io::Result<Option<Record>> {
        let mut page = [0; PAGE];
        self.read(spot.leaf.in_log, spot.leaf.at, &mut page)?;
        Ok(self.record(&page, spot).map(|(record, _)| record))
    }

    /// The row in a cell, and whether it goes on in other pages.
    fn record(&self, page: &[u8; PAGE], spot: Spot) -> Option<(Record, bool)> {
        let cell = page.get(usize::from(spot.cell)..)?;
        let (bytes, cell) = varint(cell)?;
        let (row, cell) = varint(cell)?;
        let bytes = usize::try_from(bytes).ok()?;
        let here = local(bytes);
        let mut payload = cell.get(..here)?.to_vec();
        if here < bytes {
            let next = number(cell.get(here..here + 4)?, 0);
            self.overflow(next, bytes, spot.copies, &mut payload)?;
        }
        let record = Record::of(row.cast_signed(), payload)?;
        Some((record, here < bytes))
    }

    /// Follows a chain of pages until the row is whole.
    fn overflow(
        &self,
        mut next: u32,
        bytes: usize,
        copies: Copies,
        payload: &mut Vec<u8>,
    ) -> Option<()> {
        let most = (self.filed + self.frames).saturating_mul(PAGE as u64);
        if bytes as u64 > most {
            return None;
        }
        let mut page = [0; PAGE];
        while payload.len() < bytes {
            let leaf = self.copy_of(next, copies)?;
            self.read(leaf.in_log, leaf.at, &mut page).ok()?;
            next = number(&page, 0);
            let part = (bytes - payload.len()).min(PAGE - 4);
            payload.extend_from_slice(&page[4..4 + part]);
        }
        Some(())
    }

    fn copy_of(&self, page: u32, copies: Copies) -> Option<Leaf> {
        let place = u64::from(page.checked_sub(1)?);
        let filed = (place < self.filed).then_some(Leaf {
            in_log: false,
            at: place * PAGE as u64,
        });
        match copies {
            Copies::OfRun => self.last_of_run.get(&page).copied().or(filed),
            Copies::OfFile => filed.or_else(|| self.last_of_run.get(&page).copied()),
            Copies::Last => self.last.get(&page).copied().or(filed),
        }
    }

    fn read(&self, in_log: bool, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        match &self.log {
            Some(log) if in_log => log.read_exact_at(bytes, at),
            _ => self.file.read_exact_at(bytes, at),
        }
    }
}

/// The sums of a log: two that run along in each other.
fn add_up(sums: [u32; 2], bytes: &[u8], is_big: bool) -> [u32; 2] {
    let words = bytes.as_chunks::<4>().0.iter().map(|word| {
        if is_big {
            u32::from_be_bytes(*word)
        } else {
            u32::from_le_bytes(*word)
        }
    });
    let [mut one, mut other] = sums;
    for (at, word) in words.enumerate() {
        if at % 2 == 0 {
            one = one.wrapping_add(word).wrapping_add(other);
        } else {
            other = other.wrapping_add(word).wrapping_add(one);
        }
    }
    [one, other]
}

fn leaf_of_log(frame: u64) -> Leaf {
    Leaf {
        in_log: true,
        at: LOG_HEADER + frame * (FRAME_HEADER + PAGE as u64) + FRAME_HEADER,
    }
}

/// The places of the cells of a page, if it is a leaf of a table.
fn cells(page: &[u8; PAGE], leaf: Leaf) -> Vec<u16> {
    let is_first = !leaf.in_log && leaf.at == 0;
    let header = if is_first { FILE_HEADER } else { 0 };
    if page[header] != LEAF {
        return Vec::new();
    }
    let count = usize::from(u16::from_be_bytes([page[header + 3], page[header + 4]]));
    let first = header + 8;
    let pointers = page[first..].as_chunks::<2>().0;
    let pointers = pointers.iter().take(count);
    pointers.map(|place| u16::from_be_bytes(*place)).collect()
}

/// The bytes of a row that stay on its leaf.
fn local(bytes: usize) -> usize {
    const MOST: usize = PAGE - 35;
    const LEAST: usize = (PAGE - 12) * 32 / 255 - 23;
    if bytes <= MOST {
        return bytes;
    }
    let some = LEAST + (bytes - LEAST) % (PAGE - 4);
    if some <= MOST { some } else { LEAST }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(number)
}

/// A number of one to nine bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        let rest = &bytes[at + 1..];
        if at == 8 {
            return Some((value << 8 | u64::from(byte), rest));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// A row as its page has it.
pub(crate) struct Record {
    row: i64,
    payload: Vec<u8>,
    /// The kind of each field, and where it begins.
    fields: Vec<(u64, usize)>,
}

impl Record {
    fn of(row: i64, payload: Vec<u8>) -> Option<Record> {
        let (header, rest) = varint(&payload)?;
        let header = usize::try_from(header).ok()?;
        let mut kinds = payload.get(payload.len() - rest.len()..header)?;
        let mut at = header;
        let mut fields = Vec::new();
        while !kinds.is_empty() {
            let (kind, rest) = varint(kinds)?;
            kinds = rest;
            fields.push((kind, at));
            at = at.checked_add(width(kind)?)?;
        }
        (at == payload.len()).then_some(Record {
            row,
            payload,
            fields,
        })
    }

    /// How many fields it has.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }
}

/// The bytes of a field of that kind.
fn width(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((kind - 12) / 2).ok(),
    }
}

impl Fields for Record {
    fn value(&self, at: usize) -> Option<ValueRef<'_>> {
        let (kind, start) = *self.fields.get(at)?;
        let bytes = self.payload.get(start..start + width(kind)?)?;
        Some(match kind {
            // The key of a row is its number, and stands before it.
            0 if at == 0 => ValueRef::Integer(self.row),
            0 => ValueRef::Null,
            8 | 9 => ValueRef::Integer((kind - 8).cast_signed()),
            1..=6 => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xFF };
                let mut whole = [sign; 8];
                whole[8 - bytes.len()..].copy_from_slice(bytes);
                ValueRef::Integer(i64::from_be_bytes(whole))
            }
            7 => return None,
            _ if kind % 2 == 0 => ValueRef::Blob(bytes),
            _ => ValueRef::Text(bytes),
        })
    }
}
