//! Texts that many objects share, such as the name of their integration or an image, each once in memory.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts in use.
#[derive(Default)]
pub(super) struct Words(Mutex<HashSet<Arc<str>>>);

impl Words {
    /// A text, shared with everybody who has the same.
    pub(super) fn share(&self, text: &str) -> Arc<str> {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = words.get(text) {
            return Arc::clone(known);
        }
        // Now and then, so that many new texts don't each cost a look at all of them.
        if words.len() == words.capacity() {
            words.retain(|word| Arc::strong_count(word) > 1);
        }
        let word = Arc::from(text);
        words.insert(Arc::clone(&word));
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let words = Words::default();
        let (first, second) = (words.share("boboyka"), words.share("boboyka"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(&*words.share("other"), "other");
    }

    #[test]
    fn texts_that_nobody_uses_any_more_do_not_stay() {
        let words = Words::default();
        let used = words.share("used");
        for number in 0..10_000 {
            words.share(&number.to_string());
        }
        assert!(words.0.lock().unwrap().len() < 100);
        assert!(Arc::ptr_eq(&used, &words.share("used")));
    }
}
