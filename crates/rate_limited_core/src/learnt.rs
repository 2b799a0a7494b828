//! What was learnt of a resource, as bytes that outlive the process.
//!
//! ```text
//!   version u8 │ guard u64 │ limit i64 │ ceiling i64 │ window u64 │ margin i64 │ memory u32 │ classes u8 │ { power u8 │ count u8 │ share u32 … } …
//! ```
//! All numbers are little-endian. Whoever reads them believes nothing: bytes that are not of this form are no
//! lesson, and values are held within what could have been learnt.

/// The form that is written.
const VERSION: u8 = 2;

/// The latest shares of each class that are kept.
pub(crate) const SHARES: usize = 64;

/// What was learnt of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// By how much requests may reach the server late, in nanoseconds.
    pub(crate) guard: u64,
    /// The limit that the server named, where it is lower than that of the user, in millionths; 0: none.
    pub(crate) limit: i64,
    /// The limit that refusals have shown, in millionths; 0: none.
    pub(crate) ceiling: i64,
    /// The window that was found out, in nanoseconds; 0: none.
    pub(crate) window: u64,
    /// What calls use of their bounds, if that is learnt.
    pub(crate) shares: Option<LearntShares>,
}

/// What calls use of their bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LearntShares {
    /// By what reservations are raised, in millionths.
    pub(crate) margin: i64,
    /// For how many windows the next refusal is remembered.
    pub(crate) memory: u32,
    /// By the power of two of the bound: the latest shares in millionths, the oldest first.
    pub(crate) classes: Vec<(u8, Vec<u32>)>,
}

impl Learnt {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.guard.to_le_bytes());
        bytes.extend(self.limit.to_le_bytes());
        bytes.extend(self.ceiling.to_le_bytes());
        bytes.extend(self.window.to_le_bytes());
        let Some(shares) = &self.shares else {
            return bytes;
        };
        bytes.extend(shares.margin.to_le_bytes());
        bytes.extend(shares.memory.to_le_bytes());
        bytes.push(shares.classes.len() as u8);
        for (power, latest) in &shares.classes {
            bytes.extend([*power, latest.len() as u8]);
            bytes.extend(latest.iter().flat_map(|share| share.to_le_bytes()));
        }
        bytes
    }

    /// `None`: these bytes were not written by [`Learnt::to_bytes`].
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Learnt> {
        let mut bytes = Bytes(bytes);
        if bytes.take()? != [VERSION] {
            return None;
        }
        let guard = u64::from_le_bytes(bytes.take()?);
        let limit = i64::from_le_bytes(bytes.take()?);
        let ceiling = i64::from_le_bytes(bytes.take()?);
        let window = u64::from_le_bytes(bytes.take()?);
        let shares = match bytes.0 {
            [] => None,
            _ => Some(LearntShares::of(&mut bytes)?),
        };
        bytes.0.is_empty().then_some(Learnt {
            guard,
            limit,
            ceiling,
            window,
            shares,
        })
    }
}

impl LearntShares {
    fn of(bytes: &mut Bytes<'_>) -> Option<LearntShares> {
        let margin = i64::from_le_bytes(bytes.take()?);
        let memory = u32::from_le_bytes(bytes.take()?);
        let [count] = bytes.take()?;
        let mut classes = Vec::new();
        for _ in 0..count {
            let [power, count] = bytes.take()?;
            let latest: Option<Vec<_>> = (0..count)
                .map(|_| bytes.take().map(u32::from_le_bytes))
                .collect();
            classes.push((power, latest?));
        }
        Some(LearntShares {
            margin,
            memory,
            classes,
        })
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
}
