//! A secret that is sent but never shown.

use std::fmt;
use std::sync::Arc;

use reqwest::header::HeaderValue;

use super::BuildError;

/// A secret that is sent but never shown: `Debug` and `Display` print `***`.
///
/// A client hides its keys in all that it returns, too, should a server echo them: the key itself,
/// its percent-encoded and its base64 form. Keys of fewer than 8 bytes, such as the `EMPTY` that local
/// servers take, are hidden only behind the word `Bearer`; as single words they are no secret.
///
/// ```
/// use rate_limited::http::Key;
///
/// let key = Key::new("sk-example-123456\n")?;
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// # Ok::<(), rate_limited::http::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Key(Arc<str>);

impl Key {
    /// A key, without the white space around it that files and shells leave.
    ///
    /// # Errors
    ///
    /// [`BuildError::Key`] if nothing is left, or if it has a character that no header can carry.
    ///
    /// ```
    /// use rate_limited::http::Key;
    ///
    /// assert!(Key::new("  ").is_err());
    /// assert!(Key::new("two\nlines").is_err());
    /// ```
    pub fn new(value: impl AsRef<str>) -> Result<Key, BuildError> {
        let value = value.as_ref().trim();
        if value.is_empty() {
            return Err(BuildError::Key {
                reason: "it is empty",
            });
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(BuildError::Key {
                reason: "it has a character outside printable ASCII",
            });
        }
        Ok(Key(value.into()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The value of a header, marked so that no log of the layers below shows it either.
    pub(super) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
