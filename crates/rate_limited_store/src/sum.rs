//! The checksum that each row carries.

use crc32fast::Hasher;

use crate::digest::Digest;
use crate::error::Table;

/// Adds up the fields of one row. The table is part of it, so that a row in the wrong table is found.
pub(crate) struct Sum(Hasher);

impl Sum {
    pub(crate) fn of(table: Table) -> Sum {
        let mut hasher = Hasher::new();
        hasher.update(table.name().as_bytes());
        Sum(hasher)
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
        i64::from(self.0.finalize())
    }
}
