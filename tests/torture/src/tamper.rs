//! Tampering: whatever is done to the records of a strand, its chain, its last signed checkpoint or a witness tells. The attacker
//! has the whole volume, and in some rows the log's key, which lies beside the strand. What nobody could tell is a row too.

mod attack;
mod detect;
mod disk;
mod strand;
mod table;

use fastrand::Rng;

use self::attack::Attack;
use self::detect::detect;
pub use self::disk::tamper_disk;
use self::strand::{Histories, Life};
pub use self::table::Tampered;

/// Tampers this often with strands, and lets as many alone.
pub fn tamper(count: usize, seed: u64) -> Tampered {
    let (mut rng, histories) = (Rng::with_seed(seed), Histories::new());
    let mut table = Tampered::default();
    for n in 0..count {
        let attack = Attack::ALL[n % Attack::ALL.len()];
        let life = Life::random(&histories, &mut rng);
        let volume = attack.on(&life, &histories, &mut rng);
        let found = detect(&volume, &life.identity(), &life.witness);
        table.tampered(attack.what(), attack.can_be_seen(), found.as_ref());
        let (what, honest) = life.goes_on(&histories, &mut rng);
        let alarm = detect(&honest, &life.identity(), &life.witness);
        table.honest(what, alarm.as_ref());
    }
    table
}
