//! The machines that there are images for.

/// A machine that an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Its name in an image, by the specification of OCI, and in `kubernetes.io/arch`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The target by which Rust builds for it.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Its number in the header of a program, by the specification of ELF.
    const fn machine(self) -> [u8; 2] {
        match self {
            Self::Amd64 => [0x3e, 0],
            Self::Arm64 => [0xb7, 0],
        }
    }

    /// The machine that a program is built for; `None` when it is no program, or for another machine.
    pub(crate) fn of(program: &[u8]) -> Option<Self> {
        let machine = program
            .get(18..20)
            .filter(|_| program.starts_with(b"\x7fELF"))?;
        Self::ALL.into_iter().find(|one| one.machine() == machine)
    }
}
