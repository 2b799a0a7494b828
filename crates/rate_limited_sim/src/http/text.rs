//! Words and numbers that mean nothing, the same for the same request.

use crate::draw::{About, Draw};

/// Words of three letters: with their space they are one token of four characters.
const WORDS: [&str; 16] = [
    "and", "bay", "cap", "day", "elm", "far", "ink", "jar", "key", "low", "net", "oak", "red",
    "sky", "the", "way",
];

/// The longest text that is really written; what is longer is only counted.
const TOKENS_MAX: u64 = 65_536;

/// The length of an embedding.
const DIMENSIONS: usize = 8;

pub(super) fn words(seed: u64, subject: u64, tokens: u64) -> String {
    let mut draw = Draw::new(seed, subject, 0, About::Text);
    let word = |bits: u64| WORDS[(bits >> 60) as usize];
    let words: Vec<&str> = (0..tokens.min(TOKENS_MAX))
        .map(|_| word(draw.bits()))
        .collect();
    words.join(" ")
}

/// A vector of the length 1, as embeddings are.
pub(super) fn vector(seed: u64, subject: u64) -> [f64; DIMENSIONS] {
    let mut draw = Draw::new(seed, subject, 0, About::Text);
    let vector = [(); DIMENSIONS].map(|()| draw.normal());
    let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
    vector.map(|part| part / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_long_as_their_tokens_and_always_the_same() {
        let text = words(1, 2, 25);
        assert_eq!(text.split(' ').count(), 25);
        assert_eq!(text, words(1, 2, 25));
        assert_ne!(text, words(1, 3, 25));
        assert_eq!(words(1, 2, 0), "");
    }

    #[test]
    fn vectors_have_the_length_one() {
        let length: f64 = vector(1, 2).iter().map(|part| part * part).sum();
        assert!((length - 1.0).abs() < 1e-9);
        assert!((vector(1, 2)[0] - vector(1, 3)[0]).abs() > 1e-9);
    }
}
