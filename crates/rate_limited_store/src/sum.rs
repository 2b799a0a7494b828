//! The checksum that each row carries. It says whose journal the row is of, too.

use std::hash::{BuildHasher, RandomState};

use crc32fast::Hasher;

use crate::digest::Digest;
use crate::error::Table;

/// Tells one journal from all others, so that a row of another one is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Id(u32);

impl Id {
    /// One that no other journal has, but for one in two thousand million.
    pub(crate) fn random() -> Id {
        let random = RandomState::new().hash_one(std::process::id());
        Id((random as u32 >> 1).max(1))
    }

    /// The journal that a checksum names.
    pub(crate) fn of_sum(sum: i64) -> Option<Id> {
        u32::try_from(sum >> 32).ok().filter(|id| *id > 0).map(Id)
    }

    pub(crate) fn of_bytes(bytes: [u8; 4]) -> Id {
        Id(u32::from_le_bytes(bytes))
    }

    pub(crate) fn bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

/// The part of a checksum that depends on the row: what is added up over a table.
pub(crate) fn low(sum: i64) -> u64 {
    sum as u64 & 0xFFFF_FFFF
}

/// Adds up the fields of one row. The table is part of it, so that a row in the wrong table is found.
pub(crate) struct Sum(Hasher, Id);

impl Sum {
    pub(crate) fn of(table: Table, id: Id) -> Sum {
        let mut hasher = Hasher::new();
        hasher.update(&id.bytes());
        hasher.update(table.name().as_bytes());
        Sum(hasher, id)
    }

    pub(crate) fn number(mut self, number: i64) -> Sum {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn digest(mut self, digest: Digest) -> Sum {
        self.0.update(&digest.0);
        self
    }

    /// Bytes with their length; `None` is not the same as no bytes.
    pub(crate) fn bytes(mut self, bytes: Option<&[u8]>) -> Sum {
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.0.update(&length.to_le_bytes());
        self.0.update(bytes.unwrap_or_default());
        self
    }

    pub(crate) fn finish(self) -> i64 {
        i64::from(self.1.0) << 32 | i64::from(self.0.finalize())
    }
}
