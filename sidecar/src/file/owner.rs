//! Who edits a file: its owner, by name where the machine has one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Where the machine has the names of users: `passwd(5)`.
const USERS: &str = "/etc/passwd";

/// The owner of a file; `None` while it is not there.
pub(super) fn owner(path: &Path) -> Option<String> {
    let uid = fs::metadata(path).ok()?.uid();
    let users = fs::read_to_string(USERS).unwrap_or_default();
    Some(name(&users, uid).map_or_else(|| format!("uid {uid}"), ToOwned::to_owned))
}

/// The name of a user in the lines of `passwd(5)`.
fn name(users: &str, uid: u32) -> Option<&str> {
    let mut lines = users.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next().filter(|name| !name.is_empty())?;
        let of: u32 = fields.nth(1)?.parse().ok()?;
        (of == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::{name, owner};

    #[test]
    fn a_user_has_the_name_of_its_line_or_none() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(
            (name(users, 0), name(users, 1000)),
            (Some("root"), Some("alice"))
        );
        assert_eq!(name(users, 7), None);
        let folder = tempfile::tempdir().unwrap();
        assert!(owner(folder.path()).is_some_and(|name| !name.is_empty()));
        assert_eq!(owner(&folder.path().join("none")), None);
    }
}
