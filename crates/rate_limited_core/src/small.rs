//! A short list that needs no allocation up to two items: most calls cost two resources.

/// A list that lies inline up to two items.
#[derive(Clone, Debug)]
pub(crate) enum Short<T> {
    Inline { items: [T; 2], len: u8 },
    Heap(Box<[T]>),
}

impl<T: Copy + Default> Short<T> {
    pub(crate) fn new(items: &[T]) -> Self {
        match *items {
            [] => Short::Inline {
                items: [T::default(); 2],
                len: 0,
            },
            [a] => Short::Inline {
                items: [a, T::default()],
                len: 1,
            },
            [a, b] => Short::Inline {
                items: [a, b],
                len: 2,
            },
            _ => Short::Heap(items.into()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Short::Inline { items, len } => &items[..usize::from(*len)],
            Short::Heap(items) => items,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Short::Inline { items, len } => &mut items[..usize::from(*len)],
            Short::Heap(items) => items,
        }
    }
}
