//! Accounts of one server: each has its own books, and keys by which it is known.

use super::shared::Shared;
use crate::model::ApiModel;
use axum::http::{HeaderMap, header};
use std::sync::{Arc, Mutex, PoisonError};

/// An account of a simulated API: its limits hold for all who send one of its keys.
#[derive(Clone, Debug)]
pub struct Account {
    /// What comes behind `Bearer` in the header `Authorization`.
    pub keys: Vec<String>,
    /// Its limits.
    pub model: ApiModel,
}

/// The accounts of a server.
#[derive(Debug)]
pub(super) struct Accounts {
    /// Without keys it is that of everybody.
    all: Vec<(Vec<String>, Arc<Shared>)>,
    revoked: Mutex<Vec<String>>,
}

impl Accounts {
    pub(super) fn new(all: Vec<(Vec<String>, Arc<Shared>)>) -> Accounts {
        Accounts {
            all,
            revoked: Mutex::default(),
        }
    }

    pub(super) fn get(&self, place: usize) -> &Arc<Shared> {
        &self.all[place].1
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn revoke(&self, key: &str) {
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        revoked.push(key.to_owned());
    }

    /// The account of a request; `None`: its key is not known, or not any more.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<&Arc<Shared>> {
        if let [(keys, shared)] = &*self.all
            && keys.is_empty()
        {
            return Some(shared);
        }
        let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let sent = sent.strip_prefix("Bearer ")?;
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all.iter();
        let found = all.find(|(keys, _)| keys.iter().any(|key| key == sent));
        found
            .filter(|_| revoked.iter().all(|key| key != sent))
            .map(|(_, shared)| shared)
    }
}
