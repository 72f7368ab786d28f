//! The authorities that replicas publish, and the CA bundle made of them. Pure. Every replica computes the same bundle from
//! the same ConfigMap, so none undoes what another wrote.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

/// An expired authority stays for this long, because the clock of the replica that removes it may be ahead.
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);
/// The most authorities in a bundle: two of each replica during a renewal, and some of replicas that just ended.
const AUTHORITIES_MAX: usize = 16;

/// An authority as it is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Published {
    /// When it expires; then other replicas remove it.
    pub(super) not_after: Timestamp,
    /// Its certificate.
    pub(super) pem: String,
}

/// A replica's value in the ConfigMap.
pub(super) fn value(authorities: &[Published]) -> String {
    serde_json::to_string(authorities).unwrap_or_default()
}

/// The bundle of the newest authorities. It follows from the ConfigMap's data alone, not even from the time. A value that is
/// no certificate is left out, because API servers would reject the whole bundle for it.
pub(super) fn bundle(data: &BTreeMap<String, String>) -> Vec<String> {
    let mut authorities: Vec<_> = data
        .values()
        .filter_map(|value| serde_json::from_str::<Vec<Published>>(value).ok())
        .flatten()
        .filter(|published| is_authority(&published.pem))
        .collect();
    authorities.sort_by(|a, b| b.cmp(a));
    authorities.dedup();
    authorities.truncate(AUTHORITIES_MAX);
    authorities
        .into_iter()
        .map(|published| published.pem)
        .collect()
}

/// The keys of the ConfigMap without an authority that is still valid.
pub(super) fn outdated(data: &BTreeMap<String, String>, now: Timestamp) -> Vec<&String> {
    let lives = |value: &String| {
        serde_json::from_str::<Vec<Published>>(value).is_ok_and(|all| {
            all.iter()
                .any(|published| now < published.not_after + CLOCKS_DIFFER)
        })
    };
    let outdated = data.iter().filter(|(_, value)| !lives(value));
    outdated.map(|(key, _)| key).collect()
}

/// The bundle as the text in the webhook configuration.
pub(super) fn joined(bundle: &[String]) -> String {
    bundle.iter().fold(String::new(), |mut text, pem| {
        text.push_str(pem.trim_end());
        text.push('\n');
        text
    })
}

/// Whether a bundle has an authority, however its text is formatted.
pub(super) fn has(bundle: &[u8], pem: &str) -> bool {
    let Ok(wanted) = CertificateDer::from_pem_slice(pem.as_bytes()) else {
        return false;
    };
    CertificateDer::pem_slice_iter(bundle).any(|one| one.is_ok_and(|one| one == wanted))
}

fn is_authority(pem: &str) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let Ok(certificates) = certificates else {
        return false;
    };
    let mut store = RootCertStore::empty();
    let count = certificates.len();
    count == 1 && certificates.into_iter().all(|one| store.add(one).is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::authority::Authority;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn published(made: i64) -> Published {
        let names = ["op.system.svc".to_owned()];
        let made = Authority::make(&names, Duration::from_secs(100), at(made)).unwrap();
        Published {
            not_after: made.expires,
            pem: made.pem,
        }
    }

    fn data(all: &[(&str, Vec<Published>)]) -> BTreeMap<String, String> {
        all.iter()
            .map(|(key, all)| ((*key).to_owned(), value(all)))
            .collect()
    }

    #[test]
    fn a_bundle_is_the_union_newest_first() {
        let (old, new, other) = (published(0), published(50), published(20));
        let data = data(&[
            ("a", vec![new.clone(), old.clone()]),
            ("b", vec![other.clone()]),
        ]);
        assert_eq!(bundle(&data), [new.pem, other.pem, old.pem]);
    }

    #[test]
    fn what_has_expired_is_taken_away() {
        let data = data(&[
            ("a", vec![published(50), published(0)]),
            ("b", vec![published(20)]),
        ]);
        assert!(outdated(&data, at(179)).is_empty());
        assert_eq!(outdated(&data, at(180)), ["b"]);
    }

    #[test]
    fn what_is_no_certificate_is_left_out() {
        let good = published(0);
        let wrong = |pem: String| Published {
            not_after: good.not_after,
            pem,
        };
        let garbage = wrong(good.pem.replace("MII", "MIA"));
        let two = wrong(format!("{0}{0}", good.pem));
        let mut data = data(&[("a", vec![good.clone()]), ("b", vec![garbage, two])]);
        data.insert("c".to_owned(), "hello".to_owned());
        assert_eq!(bundle(&data), [good.pem]);
        assert_eq!(outdated(&data, at(1)), ["c"]);
    }

    #[test]
    fn a_bundle_does_not_grow_without_end() {
        let many: Vec<_> = (0..20).map(published).collect();
        let newest = many.last().unwrap().pem.clone();
        let bundle = bundle(&data(&[("a", many)]));
        assert_eq!(bundle.len(), AUTHORITIES_MAX);
        assert_eq!(bundle[0], newest);
    }

    #[test]
    fn an_authority_is_found_in_a_bundle_that_somebody_wrote_otherwise() {
        let (one, other) = (published(0), published(1));
        let text = format!("# a comment\n\n{}\n\n{}", other.pem, one.pem);
        assert!(has(text.as_bytes(), &one.pem));
        assert!(!has(other.pem.as_bytes(), &one.pem));
        assert!(!has(b"garbage", &one.pem));
    }
}
