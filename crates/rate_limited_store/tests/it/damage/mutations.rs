//! What can become of a file.

use std::fmt;
use std::ops::Range;

use crate::soak::{Dice, times};

use super::sample::{Files, Sample};

const PAGE: usize = 4_096;
const FRAME: usize = PAGE + 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Main,
    Log,
    Count,
}

/// One thing that happened to one of the files.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Flip {
        file: File,
        bit: usize,
    },
    Cut {
        file: File,
        at: usize,
    },
    Zero {
        file: File,
        bytes: Range<usize>,
    },
    Noise {
        file: File,
        bytes: Range<usize>,
        seed: u64,
    },
    Swap {
        file: File,
        pages: [usize; 2],
    },
    Copy {
        file: File,
        from: usize,
        to: usize,
    },
    Append {
        file: File,
        bytes: usize,
        seed: u64,
    },
    /// A page of another journal in the place of one's own.
    Splice {
        file: File,
        from: usize,
        to: usize,
    },
    /// A page as it was when the journal was half as long: a write that the disk has lost.
    Stale {
        page: usize,
    },
    /// A whole file of another journal.
    Stranger {
        file: File,
    },
    Text {
        file: File,
    },
    Zeros {
        file: File,
        bytes: usize,
    },
    Gone {
        file: File,
    },
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Mutation {
    pub(crate) fn apply(&self, sample: &Sample, stranger: &Files) -> Files {
        let mut files = sample.files.clone();
        let file = self.file();
        let theirs = part(&mut stranger.clone(), file).clone();
        let ours = part(&mut files, file);
        let start = start(file);
        let page = |page: usize| start + page * step(file)..start + page * step(file) + step(file);
        if let (Mutation::Gone { .. }, _) | (Mutation::Stranger { .. }, None) = (self, &theirs) {
            *ours = None;
            return files;
        }
        let bytes = ours.get_or_insert_default();
        match self {
            Mutation::Flip { bit, .. } => bytes[bit / 8] ^= 1 << (bit % 8),
            Mutation::Cut { at, .. } => bytes.truncate(*at),
            Mutation::Zero { bytes: at, .. } => bytes[at.clone()].fill(0),
            Mutation::Noise {
                bytes: at, seed, ..
            } => {
                let mut dice = Dice::new(*seed);
                bytes[at.clone()].fill_with(|| dice.next() as u8);
            }
            Mutation::Swap { pages, .. } => {
                let [one, other] = pages.map(|number| bytes[page(number)].to_vec());
                bytes[page(pages[0])].copy_from_slice(&other);
                bytes[page(pages[1])].copy_from_slice(&one);
            }
            Mutation::Copy { from, to, .. } => bytes.copy_within(page(*from), page(*to).start),
            Mutation::Append {
                bytes: more, seed, ..
            } => {
                let mut dice = Dice::new(*seed);
                bytes.extend((0..*more).map(|_| dice.next() as u8));
            }
            Mutation::Splice { from, to, .. } => {
                let theirs = theirs.unwrap_or_default();
                let count = (theirs.len() - start) / step(file);
                bytes[page(*to)].copy_from_slice(&theirs[page(from % count)]);
            }
            Mutation::Stale { page: number } => {
                bytes[page(*number)].copy_from_slice(&sample.earlier[page(*number)]);
            }
            Mutation::Stranger { .. } => *bytes = theirs.unwrap_or_default(),
            Mutation::Text { .. } => *bytes = b"id,text\n1,hello\n".repeat(300),
            Mutation::Zeros { bytes: more, .. } => *bytes = vec![0; *more],
            Mutation::Gone { .. } => {}
        }
        files
    }

    pub(crate) fn file(&self) -> File {
        match self {
            Mutation::Flip { file, .. }
            | Mutation::Cut { file, .. }
            | Mutation::Zero { file, .. }
            | Mutation::Noise { file, .. }
            | Mutation::Swap { file, .. }
            | Mutation::Copy { file, .. }
            | Mutation::Append { file, .. }
            | Mutation::Splice { file, .. }
            | Mutation::Stranger { file }
            | Mutation::Text { file }
            | Mutation::Zeros { file, .. }
            | Mutation::Gone { file } => *file,
            Mutation::Stale { .. } => File::Main,
        }
    }
}

fn part(files: &mut Files, file: File) -> &mut Option<Vec<u8>> {
    match file {
        File::Main => &mut files.main,
        File::Log => &mut files.log,
        File::Count => &mut files.count,
    }
}

fn start(file: File) -> usize {
    if file == File::Log { 32 } else { 0 }
}

fn step(file: File) -> usize {
    if file == File::Log { FRAME } else { PAGE }
}

/// All mutations of a sample that are tried.
pub(crate) fn mutations(sample: &Sample, seed: u64) -> impl Iterator<Item = Mutation> {
    let mut dice = Dice::new(seed);
    let mut all = headers(sample, &mut dice);
    for file in [File::Main, File::Log] {
        let Some(bytes) = part(&mut sample.files.clone(), file).as_ref().map(Vec::len) else {
            continue;
        };
        if bytes > 0 {
            all.extend(tails(file, bytes));
            all.extend(pages(file, bytes, &mut dice));
        }
    }
    let stale = 0..sample.earlier.len() / PAGE;
    all.extend(stale.map(|page| Mutation::Stale { page }));
    for file in [File::Main, File::Log, File::Count] {
        all.push(Mutation::Stranger { file });
        all.push(Mutation::Text { file });
        all.push(Mutation::Gone { file });
        all.extend([0, 1, 100, 512, PAGE].map(|bytes| Mutation::Zeros { file, bytes }));
        all.push(Mutation::Append {
            file,
            bytes: 1,
            seed,
        });
    }
    all.into_iter()
}

/// What says most: the headers of the files, and the count.
fn headers(sample: &Sample, dice: &mut Dice) -> Vec<Mutation> {
    let mut all = Vec::new();
    let each_bit = times(1, 8) > 1;
    for (file, bytes) in [(File::Main, 100), (File::Log, 56), (File::Count, 64)] {
        if file == File::Count && !each_bit && sample.name != "living" {
            continue;
        }
        let there = part(&mut sample.files.clone(), file)
            .as_ref()
            .map_or(0, Vec::len);
        for byte in 0..bytes.min(there) {
            if each_bit || file == File::Count {
                all.extend((0..8).map(|bit| Mutation::Flip {
                    file,
                    bit: byte * 8 + bit,
                }));
            } else {
                let bit = byte * 8 + dice.below(8);
                all.push(Mutation::Flip { file, bit });
            }
        }
        if file == File::Count {
            all.extend((0..there).map(|at| Mutation::Cut { file, at }));
        }
    }
    all
}

/// Cuts at each byte of the end: three frames of the log, two pages of the file.
fn tails(file: File, bytes: usize) -> Vec<Mutation> {
    let stride = if times(1, 2) > 1 { 1 } else { 61 };
    let far = if file == File::Log {
        3 * FRAME
    } else {
        2 * PAGE
    };
    let cuts = (bytes.saturating_sub(far)..bytes).step_by(stride);
    let mut all: Vec<_> = cuts.map(|at| Mutation::Cut { file, at }).collect();
    // And at the edges of all pages.
    let edges = (start(file)..bytes).step_by(step(file));
    all.extend(edges.map(|at| Mutation::Cut { file, at }));
    all
}

/// Something on every page.
fn pages(file: File, bytes: usize, dice: &mut Dice) -> Vec<Mutation> {
    let mut all = Vec::new();
    let count = (bytes - start(file)) / step(file);
    // The file has fewer pages than the log, and it is there that all stays in the end.
    let rounds = times(if file == File::Main { 4 } else { 1 }, 60);
    for page in 0..count {
        let first = start(file) + page * step(file);
        for _ in 0..rounds {
            // Half of them where the page says what is in it.
            for far in [step(file), 40] {
                let bit = (first + dice.below(far)) * 8 + dice.below(8);
                all.push(Mutation::Flip { file, bit });
            }
            let sector = first + dice.below(step(file) / 512) * 512;
            let whole = first..first + step(file);
            let seed = dice.next();
            all.push(match dice.below(8) {
                0 | 1 => Mutation::Zero {
                    file,
                    bytes: sector..sector + 512,
                },
                2 => Mutation::Zero { file, bytes: whole },
                3 => Mutation::Noise {
                    file,
                    bytes: sector..sector + 512,
                    seed,
                },
                4 => Mutation::Swap {
                    file,
                    pages: [page, dice.below(count)],
                },
                5 => Mutation::Copy {
                    file,
                    from: dice.below(count),
                    to: page,
                },
                6 => Mutation::Append {
                    file,
                    bytes: dice.below(3 * PAGE),
                    seed,
                },
                // The other journal is as long, near enough.
                _ => Mutation::Splice {
                    file,
                    from: page,
                    to: page,
                },
            });
        }
    }
    all
}
