//! Where the bytes of each result lie, by the database's own account of its pages.

use std::collections::HashMap;

use crate::soak::memory;

use super::sample::Files;

const PAGE: usize = 4_096;
const FRAME: usize = PAGE + 24;

/// A stretch of the file, or of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    in_log: bool,
    start: usize,
}

impl Stretch {
    /// Whether it is the same in both, and in the log the number of the page with it.
    fn is_kept(self, one: &Files, other: &Files) -> bool {
        let part = |files: &Files| {
            let file = if self.in_log { &files.log } else { &files.main };
            let file = file.as_ref()?;
            let page = file.get(self.start..self.start + PAGE)?.to_vec();
            let number = self.in_log.then(|| self.start - 24);
            let number = number.map(|number| file[number..number + 4].to_vec());
            Some((page, number))
        };
        part(one).is_some() && part(one) == part(other)
    }
}

/// The pages of each result, by its number.
pub(crate) struct Map(Vec<Vec<Stretch>>);

impl Map {
    pub(crate) fn of(files: &Files) -> Map {
        let folder = memory();
        let path = folder.path().join("copy");
        files.put(&path);
        let db = rusqlite::Connection::open(&path).expect("a journal");
        let last = last_frames(files);
        let place = |page: usize| match last.get(&page) {
            Some(start) => Stretch {
                in_log: true,
                start: *start,
            },
            None => Stretch {
                in_log: false,
                start: (page - 1) * PAGE,
            },
        };
        let query =
            "SELECT path, pageno, pagetype, ncell FROM dbstat WHERE name = 'results' ORDER BY path";
        let mut pages = db.prepare(query).expect("a table of pages");
        let pages = pages.query_map([], |row| {
            let page: (String, i64, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(page)
        });
        let mut results: Vec<Vec<Stretch>> = Vec::new();
        let mut leaves: HashMap<String, usize> = HashMap::new();
        for page in pages.expect("readable") {
            let (path, page, kind, cells) = page.expect("readable");
            let stretch = place(page as usize);
            match kind.as_str() {
                "leaf" => {
                    leaves.insert(path, results.len());
                    results.extend((0..cells).map(|_| vec![stretch]));
                }
                "overflow" => {
                    // `/1c2/00a+000003`: the leaf, the cell in it, and a place in the chain.
                    let (cell, _) = path.split_once('+').expect("a chain");
                    let (leaf, cell) = cell.split_at(cell.len() - 3);
                    let cell = usize::from_str_radix(cell, 16).expect("a number");
                    results[leaves[leaf] + cell].push(stretch);
                }
                _ => {}
            }
        }
        Map(results)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of the results whose pages a mutation left alone.
    pub(crate) fn untouched<'a>(
        &'a self,
        before: &'a Files,
        after: &'a Files,
    ) -> impl Iterator<Item = u64> + 'a {
        let kept = self.0.iter().map(|stretches| {
            stretches
                .iter()
                .all(|stretch| stretch.is_kept(before, after))
        });
        (1..)
            .zip(kept)
            .filter(|(_, kept)| *kept)
            .map(|(number, _)| number)
    }
}

/// Where each page stands last in the log.
fn last_frames(files: &Files) -> HashMap<usize, usize> {
    let log = files.log.as_deref().unwrap_or_default();
    let mut last = HashMap::new();
    let Some(header) = log.get(..32) else {
        return last;
    };
    for frame in 0..(log.len() - 32) / FRAME {
        let start = 32 + frame * FRAME;
        // Frames of an earlier round of the log have other salts.
        if log[start + 8..start + 16] == header[16..24] {
            let page = u32::from_be_bytes(log[start..start + 4].try_into().expect("four"));
            last.insert(page as usize, start + 24);
        }
    }
    last
}
