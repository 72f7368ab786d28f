//! A slot as text: the pods that a strand is for, in an annotation of its claim. Pure.

use boboyka_crds::Slot;

/// A slot as `KIND/NAME/KEY`.
pub(crate) fn text(slot: &Slot) -> String {
    format!("{}/{}/{}", slot.kind, slot.name, slot.key)
}

/// The slot that [`text`] wrote; `None` for any other text.
pub(crate) fn read(text: &str) -> Option<Slot> {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    Some(Slot {
        kind: parts.next()?,
        name: parts.next()?,
        key: parts.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_back_from_its_text() {
        let slot = Slot {
            kind: "DaemonSet".to_owned(),
            name: "web".to_owned(),
            key: "n1.example/odd".to_owned(),
        };
        assert_eq!(read(&text(&slot)), Some(slot));
        assert_eq!(read("DaemonSet/web"), None);
    }
}
